"""Shows what a file of another project does under each rule that fits its shapes.

Shapes do not say which filters, which padding and which alive rule a file was trained with. Under
the right rule a model usually grows, stays within bounds, and comes to rest; under a wrong one it
dies, explodes, or never settles. This prints a table and draws a picture of each candidate.
"""

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tfnca.automata.alive import Alpha, Stroke
from tfnca.automata.state import digit_state, seed_state, to_rgb
from tfnca.automata.step import CellularAutomaton
from tfnca.commands import check_output
from tfnca.data.digits import load_digits
from tfnca.engines.rollout import trajectory
from tfnca.formats.conventions import CONVENTIONS
from tfnca.formats.load import candidates
from tfnca.pictures import digits_to_rgb, save_png, tile

_BOUND = 100.0
"""A state beyond it has exploded: no CA that we know of leaves ±40."""

_STILL = 1e-3
"""Mean squared change of the colours in the last tenth of a run of a CA that has come to rest."""


class Behaviour(NamedTuple):
    """What a candidate did: the fraction of living cells at the end; the largest absolute value;
    the mean squared change of four channels in the last tenth; the last picture, RGB in [0, 1]."""

    convention: str
    alive: float
    largest: float
    moved: float
    picture: np.ndarray

    @property
    def verdict(self) -> str:
        """In words: what speaks for it or against it."""
        if not self.largest < _BOUND:
            return "explodes"
        if self.alive == 0:
            return "dies"
        return "settles" if self.moved < _STILL else "keeps changing"


def behaviour(
    convention: str, ca: CellularAutomaton, steps: int = 300, size: int = 64, seed: int = 0
) -> Behaviour:
    """Runs a candidate from where such a CA begins, on a grid of `size` by `size` cells."""
    first, picture = _start(convention, ca, size)
    inputs = np.zeros((1, ca.rule.inputs), np.float32) if ca.rule.inputs else None
    last, late, largest = max(steps // 10, 1), first, 0.0
    for at, state in trajectory(ca, first, steps, every=last, seed=seed, inputs=inputs):
        values = np.asarray(state)
        largest = max(largest, float(np.max(np.abs(values), initial=0.0)))
        if at + last <= steps:
            late = values
    alive = ca.rule.living(values)
    with np.errstate(over="ignore", invalid="ignore"):
        moved = float(np.square(values[..., :4] - late[..., :4]).mean())
    share = 1.0 if alive is None else float(np.mean(np.asarray(alive)))
    return Behaviour(convention, share, largest, moved, picture(values))


def _start(
    convention: str, ca: CellularAutomaton, size: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Where a CA of this rule begins, and how its state is shown."""
    alive, channels = ca.rule.alive, ca.channels
    if isinstance(alive, Stroke):
        digits = load_digits("test", count=1)
        return digit_state(digits.images, channels), lambda state: digits_to_rgb(state)[0]
    if isinstance(alive, Alpha):
        state = seed_state(size, 1, channels)
        if convention == "takeover":  # its seed has nothing but alpha
            state[..., alive.channel + 1 :] = 0.0
        return state, lambda state: to_rgb(state)[0]
    if ca.rule.fixed:
        rows, columns = np.indices((size, size))
        state = np.zeros((1, size, size, channels), np.float32)
        state[0, ..., 0] = np.hypot(rows - size / 2, columns - size / 2) < size / 4
        return state, lambda state: np.repeat(state[0, ..., 1:2] > 0, 3, -1).astype(np.float32)
    state = np.zeros((1, size, size, channels), np.float32)
    return state, lambda state: np.clip(state[0, ..., :3] / 2 + 0.5, 0.0, 1.0)


def main(options: argparse.Namespace) -> None:
    """Prints a table of what each candidate does, and draws them to ``--out``."""
    if options.out:
        check_output(options.out)
    found = [
        behaviour(name, ca, options.steps, options.size, options.seed)
        for name, ca in candidates(options.file, options.name).items()
    ]
    print("| convention | verdict | alive | largest value | moved | rule |")
    print("|---|---|---|---|---|---|")
    for each in found:
        print(
            f"| {each.convention} | {each.verdict} | {each.alive:.2f} | {each.largest:.3g} | "
            f"{each.moved:.1e} | {CONVENTIONS[each.convention].about} |"
        )
    if options.out:
        labels = [f"{each.convention}: {each.verdict}" for each in found]
        pictures = np.nan_to_num(np.stack([each.picture for each in found]))
        save_png(options.out, tile(pictures, columns=3, scale=4, labels=labels))
