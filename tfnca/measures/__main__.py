"""``python -m tfnca.measures``: see its ``--help``."""

from tfnca.cli import run

if __name__ == "__main__":
    run("measure", "python -m tfnca.measures")
