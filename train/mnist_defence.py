"""Trains an MNIST CA that resists adversaries: its cells learn to agree among adversarial cells.

The adversaries are trained models, frozen. With several in --bank they take turns, a hundred
training steps each. To measure how well the host resists, train an adversary against it
(tfnca attack mnist). Add that adversary to the bank of the next round.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("mnist_defence")
