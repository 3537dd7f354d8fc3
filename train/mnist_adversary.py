"""Trains an adversary of the MNIST CA: a few cells make all others choose one class.

The host is frozen. In 10 % of the pixels, drawn at random for each new digit, the adversary's rule
replaces the host's. The defaults are the article's settings. In the article 2,000 steps suffice.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("mnist_adversary")
