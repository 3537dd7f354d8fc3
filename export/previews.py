"""Redraws the previews of the bundled hosts and of the digits' adversaries."""

from tfnca.cli import run

if __name__ == "__main__":
    run("refresh", description=__doc__, what="previews")
