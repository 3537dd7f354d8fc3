"""Trains a Growing CA: from one cell to a picture, which it keeps and repairs.

Regimes: 'growing' starts every run from the seed; 'persistent' goes on from a pool, so that the
picture stays; 'regenerating' also cuts circles out of it.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("growing")
