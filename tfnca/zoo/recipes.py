"""The recipe of each bundled model: one command, from nothing or from models with earlier recipes.

`train/models.py` runs them (``make models``), and model cards show them.
"""

import string
from collections.abc import Callable
from typing import NamedTuple


class Recipe(NamedTuple):
    """The command that makes a model."""

    script: str
    options: str
    """The script's options. ``{name}`` is the file of an earlier model, ``{data}`` the folder with
    MNIST's four files."""
    minutes: int
    """Expected minutes, including the measurements, on one core of two."""
    ships: bool = True
    """Whether the model is bundled, or only needed to make another one."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The models that this one is made from."""
        names = [name for _, name, _, _ in string.Formatter().parse(self.options) if name]
        return tuple(dict.fromkeys(name for name in names if name != "data"))

    @property
    def needs_data(self) -> bool:
        """Whether it is trained on all of MNIST and not on the bundled sample."""
        return "{data}" in self.options

    def words(self, out: str, model_file: Callable[[str], str], data: str = "IDX") -> list[str]:
        """The command after ``python``; `model_file` gives the file of an earlier model."""
        files = {name: model_file(name) for name in self.needs}
        options = [word.format(**files, data=data) for word in self.options.split()]
        return [self.script, *options, "--out", out]


def _matrix(target: str, steps: int, minutes: int, policy: str = "any") -> Recipe:
    options = f"--target {target} --reset-policy {policy} --steps {steps}"
    options = f"--host {{growing_lizard}} {options}"
    return Recipe("train/perturbation.py", options, minutes)


def _adversary(target: str, density: float, own_weight: float, steps: int, minutes: int) -> Recipe:
    options = (
        f"--host {{growing_lizard}} --target {target} --density {density} --reset-policy any "
        f"--damaged 0 --own-weight {own_weight} --steps {steps} --learning-rate 2e-3 "
        "--drops 0.6,0.9"
    )
    return Recipe("train/growing_adversary.py", options, minutes)


def _invasion(
    start: str,
    spray: float,
    cell_cost: float,
    ca_steps: tuple[int, int],
    steps: int,
    minutes: int,
    rate: str = "1e-3",
    drops: str = "0.6,0.9",
    ships: bool = False,
) -> Recipe:
    """An adversary that spreads."""
    fewest, most = ca_steps
    options = (
        f"--host {{growing_lizard}} --target red --start {start} --spray {spray} "
        f"--cell-cost {cell_cost} --min-ca-steps {fewest} --max-ca-steps {most} --steps {steps} "
        f"--batch-size 4 --pool-size 32 --learning-rate {rate} --drops {drops}"
    )
    return Recipe("train/invasion.py", options, minutes, ships)


def _defence(start: str, bank: str, options: str, minutes: int, ships: bool = False) -> Recipe:
    options = f"--start {start} --bank {bank} {options} --data-dir {{data}}"
    return Recipe("train/mnist_defence.py", options, minutes, ships)


def _adversary_of(host: str, ships: bool = False) -> Recipe:
    """An adversary of a host of digits that resists the earlier adversaries."""
    options = (
        f"--host {{{host}}} --steps 2600 --drops 0.85 --ema 0.99 --new-digits 1 "
        "--swapped-digits 1 --data-dir {data} --measure quick --test-digits 300"
    )
    return Recipe("train/mnist_adversary.py", options, 5, ships)


RECIPES = {
    "growing_lizard_fast": Recipe(
        "train/growing.py",
        "--steps 12000 --drops 0.6,0.9 --pool-size 256 --max-radius 0.5",
        100,
        ships=False,
    ),
    "growing_lizard": Recipe(
        "train/growing.py",
        "--start {growing_lizard_fast} --colour-pace 0.3 --steps 3000 --learning-rate 5e-4 "
        "--drops 0.6,0.9 --pool-size 256 --max-radius 0.5",
        25,
    ),
    "perturbation_no_tail": _matrix("no_tail", 1500, 15),
    "perturbation_no_leg": _matrix("no_leg", 500, 6, "worst"),
    "perturbation_no_head": _matrix("no_head", 1000, 11),
    "perturbation_no_arm": _matrix("no_arm", 1000, 11),
    "perturbation_red": _matrix("red", 1500, 15),
    "perturbation_blue": _matrix("blue", 1500, 15),
    "shift_no_tail": Recipe(
        "train/perturbation.py",
        "--host {growing_lizard} --kind shift --target no_tail --steps 300",
        4,
    ),
    "growing_adversary_no_tail": _adversary("no_tail --region host", 0.3, 0.2, 2000, 20),
    "growing_adversary_red": _adversary("red", 0.6, 1, 2000, 20),
    "invasion_red_1": _invasion("host", 0.5, -0.5, (32, 48), 400, 3, rate="2e-3"),
    "invasion_red_2": _invasion("{invasion_red_1}", 0.2, -1, (40, 56), 500, 4, rate="2e-3"),
    "invasion_red_3": _invasion(
        "{invasion_red_2}", 0.1, -1, (48, 64), 1200, 13, rate="2e-3", drops="0.7,0.95"
    ),
    "invasion_red_4": _invasion("{invasion_red_3}", 0.03, -1, (48, 64), 1200, 6, drops="0.7,0.95"),
    "invasion_red_5": _invasion("{invasion_red_4}", 0.03, -1, (64, 96), 2400, 14),
    "invasion_red": _invasion("{invasion_red_5}", 0.01, -1, (64, 96), 4000, 23, ships=True),
    "mnist": Recipe(
        "train/mnist.py",
        "--steps 100000 --drops 0.84,0.95 --ema 0.999 --new-digits 2 --swapped-digits 2 "
        "--data-dir {data}",
        110,
    ),
    "mnist_adversary": Recipe(
        "train/mnist_adversary.py",
        "--host {mnist} --steps 2600 --drops 0.85 --ema 0.99 --new-digits 1 --swapped-digits 1 "
        "--recovery-items 2 --test-digits 600",
        3,
    ),
    "mnist_hardened_1": _defence("{mnist}", "{mnist_adversary}", "--steps 3000 --lowest 0.7", 5),
    "mnist_adversary_1": _adversary_of("mnist_hardened_1"),
    "mnist_hardened_2": _defence(
        "{mnist}", "{mnist_adversary},{mnist_adversary_1}", "--steps 3000 --lowest 0.7", 5
    ),
    "mnist_adversary_2": _adversary_of("mnist_hardened_2"),
    "mnist_hardened_3": _defence(
        "{mnist}",
        "{mnist_adversary},{mnist_adversary_1},{mnist_adversary_2}",
        "--steps 3000 --lowest 0.7",
        5,
    ),
    "mnist_adversary_3": _adversary_of("mnist_hardened_3"),
    "mnist_bounded": _defence(
        "{mnist}",
        "{mnist_adversary},{mnist_adversary_1},{mnist_adversary_2},{mnist_adversary_3}",
        "--steps 5000 --message-bound 1 --measure quick",
        8,
    ),
    "mnist_bounded_adversary": _adversary_of("mnist_bounded"),
    "mnist_defended": _defence(
        "{mnist_bounded}",
        "{mnist_adversary},{mnist_adversary_1},{mnist_adversary_2},{mnist_adversary_3},{mnist_bounded_adversary}",
        "--steps 20000 --drops 0.7,0.9 --ema 0.999",
        45,
        ships=True,
    ),
    "mnist_defended_adversary": _adversary_of("mnist_defended", ships=True),
}
"""The recipes by the model's name, each after those of the models that it is made from."""
