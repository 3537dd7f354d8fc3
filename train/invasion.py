"""Trains an adversary that invades a Growing CA: it spreads cell by cell and changes the pattern.

The host is frozen. The adversary is a second species with an alpha of its own, which gets a square
of the grown pattern, or scattered cells. Each cell then belongs to the species with the larger
alpha. With --cell-cost, every cell that the adversary holds costs, so it must change host cells; a
negative cost rewards spreading.
"""

from tfnca.jobs.options import run_named

if __name__ == "__main__":
    run_named("invasion")
