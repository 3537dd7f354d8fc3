"""Trains the self-classifying MNIST CA.

The cells of a digit learn to agree on its class, and to reclassify after the digit is swapped.
The defaults are the article's settings.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("mnist")
