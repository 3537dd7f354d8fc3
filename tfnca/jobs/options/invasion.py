"""Trains an adversary that invades a Growing CA: it spreads cell by cell and changes the pattern.

The host is frozen. The adversary is a second species with an alpha of its own, which gets a square
of the grown pattern, or scattered cells. Each cell then belongs to the species with the larger
alpha. With --cell-cost, every cell that the adversary holds costs, so it must change host cells; a
negative cost rewards spreading.
"""

from dataclasses import dataclass

from tfnca.commands import FINITE, FRACTION, MOMENTUM, NOT_NEGATIVE, POSITIVE
from tfnca.data.drawing import DRAWN
from tfnca.jobs.options import CA_STEPS, DROPS, Common, in_order, option


@dataclass(frozen=True)
class Config(Common):
    out: str = option("out/invasion", "folder for results and snapshots")
    host: str = option(
        "growing_lizard",
        "CA to attack, alive by its alpha: the name of a bundled model, or a file in any format",
    )
    host_name: str | None = option(None, "name of the model, if the file contains several")
    convention: str | None = option(
        None, "rule of another project's file, for --host and --start: see tfnca identify"
    )
    seed_cell: str = option(
        "ones",
        "channels that are 1 in the cell from which the host grows: alpha and hidden 'ones', or "
        "'alpha' alone",
        choices=["ones", "alpha"],
    )
    age: int = option(200, "CA steps that the host has grown before it is invaded", POSITIVE)
    target: str = option("red", f"target picture: {', '.join(DRAWN)}, a picture file, or an emoji")
    size: int = option(
        40, "largest side of the picture in cells; larger pictures are shrunk", POSITIVE
    )
    padding: int = option(4, "empty cells around the picture", NOT_NEGATIVE)
    start: str = option("host", "initial adversary: a copy of the 'host', or a model")
    patch: int = option(2, "side of the square that the adversary gets; 1 is one cell", POSITIVE)
    spray: float | None = option(
        None, "instead of a square, the fraction of scattered cells that it gets", FRACTION
    )
    cell_cost: float = option(
        0.0,
        "loss if every cell of the picture is the adversary's; a part costs in proportion; a "
        "negative cost rewards spreading",
        FINITE,
    )
    steps: int = option(400, "training steps", POSITIVE)
    batch_size: int = option(4, "states in a batch", POSITIVE)
    pool_size: int = option(64, "states in the pool, each with its own invasion", POSITIVE)
    restarts: int = option(1, "states in a batch, the worst, that are reset", NOT_NEGATIVE)
    damaged: int = option(0, "states in a batch, the best, that lose a circle", NOT_NEGATIVE)
    min_ca_steps: int = option(40, "fewest CA steps per training step", CA_STEPS)
    max_ca_steps: int = option(64, "most CA steps per training step", CA_STEPS)
    learning_rate: float = option(1e-3, "initial learning rate", POSITIVE)
    drops: str = option(
        "0.6,0.9", "fractions of the run at which the learning rate is divided by 10", DROPS
    )
    ema: float = option(
        0.98, "momentum of an exponential average of the weights; 0: no average", MOMENTUM
    )

    def check(self) -> None:
        in_order(self, "min_ca_steps", "max_ca_steps")
        in_order(self, "batch_size", "pool_size")
        for name in ("restarts", "damaged"):
            in_order(self, name, "batch_size")
