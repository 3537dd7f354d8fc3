"""Writes README.md anew in each folder of saved_models/ whose config.json or metrics.json changed;
saved_models/README.md too."""

from tfnca.cli import run

if __name__ == "__main__":
    run("refresh", description=__doc__, what="cards")
