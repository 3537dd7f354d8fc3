"""Trains a Growing CA, which grows a picture from one cell, keeps it and repairs it.

Regimes: 'growing' starts every run from the seed. 'persistent' continues states of a pool, so that
the CA learns to keep the picture. 'regenerating' also cuts out circles, which it learns to repair.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("growing")
