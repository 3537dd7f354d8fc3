"""Rewrites README.md in saved_models/, and in each of its folders whose config.json or metrics.json
changed."""

from tfnca.cli import run

if __name__ == "__main__":
    run("refresh", description=__doc__, what="cards")
