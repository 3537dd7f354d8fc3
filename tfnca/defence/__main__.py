"""``python -m tfnca.defence``: see its ``--help``."""

from tfnca.cli import run

if __name__ == "__main__":
    run("detect", "python -m tfnca.defence")
