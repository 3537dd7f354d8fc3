"""Trains an MNIST CA that resists: its cells learn to agree while liars stand among them.

The liars are adversaries trained before, frozen; with several in --bank each has a hundred training
steps in turn. A host that has learned to resist them is judged by an adversary that was trained
against it (train/mnist_adversary.py), which then joins the bank of the next round.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("mnist_defence")
