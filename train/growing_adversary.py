"""Trains an adversary of a Growing CA: some of its cells turn the pattern into another one.

The host is frozen. At each restart a share of the cells where the target is opaque (--region host:
or what the host grows), drawn at random, run the adversary's rule; the pool carries each state's
own mask. The article: tailless at 10 %, with 32 empty cells around the picture, and red at 60 %,
with 16.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("growing_adversary")
