"""``python -m tfnca.placement``: see its ``--help``."""

from tfnca.cli import run

if __name__ == "__main__":
    run("place", "python -m tfnca.placement")
