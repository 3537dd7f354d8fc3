"""Trains the self-classifying MNIST CA.

The cells of a digit learn to agree on which digit they are, and to change their mind when the
digit changes under them. Defaults are the published settings.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("mnist")
