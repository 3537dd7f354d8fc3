"""Trains a perturbation of every living cell that turns a Growing CA's pattern into another one.

The host is frozen; the perturbation is all that learns: by default the article's symmetric matrix.
The pool starts as seeds and grown hosts.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("perturbation")
