"""Trains an adversary of the MNIST CA: a few of its cells turn every digit into one class.

The host is frozen. At each restart of a digit 10 % of the pixels, drawn at random, run the
adversary's rule. Defaults are the published settings; the article finds 2,000 steps enough.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("mnist_adversary")
