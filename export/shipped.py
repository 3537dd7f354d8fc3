"""Rewrites saved_model/ and tfjs/ in each folder of saved_models/ whose weights changed."""

from tfnca.cli import run

if __name__ == "__main__":
    run("refresh", description=__doc__, what="exports")
