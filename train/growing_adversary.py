"""Trains an adversary of a Growing CA: a fraction of its cells change the pattern to another one.

The host is frozen. In a random fraction of the cells the adversary's rule replaces the host's. They
are drawn among the opaque cells of the target (--region host: also of the host's picture). A reset
draws new ones. The article trains no_tail at 10 %, with 32 empty cells around the picture, and red
at 60 %, with 16.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("growing_adversary")
