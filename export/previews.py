"""Draws previews of hosts and of the digits' adversaries that ship anew, whatever trained them."""

from tfnca.cli import run

if __name__ == "__main__":
    run("refresh", description=__doc__, what="previews")
