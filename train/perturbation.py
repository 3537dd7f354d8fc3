"""Trains a perturbation of every living cell that changes a Growing CA's pattern to another one.

The host is frozen and only the perturbation is trained, by default the article's symmetric matrix.
The pool starts with seeds and grown patterns.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("perturbation")
