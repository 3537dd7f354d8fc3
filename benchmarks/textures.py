"""Steers one texture into another, by adversaries and by a matrix, and measures how well.

    python benchmarks/textures.py textures.json --out out/textures

The file is that of "Self-Organising Textures" (Distill, 2021): distillpub/post--selforg-textures.
Trains an adversary of 10 % of the cells and a matrix unless --out contains them already, prints the
table of docs/examples/textures.md, and writes it and its pictures to --out.
"""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

import tfnca
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.commands import Parser, must, plain_errors
from tfnca.data.patches import sliced_wasserstein
from tfnca.files import write_atomically
from tfnca.pictures import save_png, tile

SIZE, SEEDS, DENSITY = 64, (1, 2, 3), 0.1
SETTLED, AT = 200, (0, 50, 200, 500)
"""The CA step at which an attack begins, and the steps after it at which it is measured."""

EXAMPLE_SEED = 99
"""The seed of the example pictures. No measured run has it."""


class Row(NamedTuple):
    """What became of an attack.

    Attributes:
        name: The attack in words.
        shown: Its label in the picture; empty if it is not shown there.
        to_host: Distances to the host's texture, a row per step of `AT` and a column per seed.
        to_goal: Distances to the goal's texture.
        pictures: The first run's pictures at `AT`.
    """

    name: str
    shown: str
    to_host: list[list[float]]
    to_goal: list[list[float]]
    pictures: list[np.ndarray]


def blank(ca: CellularAutomaton, size: int = SIZE) -> np.ndarray:
    """Where a texture starts: all cells are zero."""
    return np.zeros((1, size, size, ca.channels), np.float32)


def example_of(ca: CellularAutomaton) -> np.ndarray:
    """A picture of a CA's texture, which serves as the example."""
    state = tfnca.rollout(ca, blank(ca, 96), SETTLED, seed=EXAMPLE_SEED)
    return tfnca.TextureTask(np.zeros((9, 9, 3))).picture(state)[0]


def trained(step: Step, goal: tfnca.TextureTask, path: Path, updates: int) -> Step:
    """Trains an attack towards a goal, or loads it if it is already trained."""
    is_matrix = step.perturbation is not None
    if not path.exists():
        rate = 3e-3 if is_matrix else 2e-3
        optimizer = tfnca.WhitenedAdam(rate) if is_matrix else keras.optimizers.Adam(rate)
        trainer = tfnca.Trainer(step, task=goal, steps=(24, 48))
        trainer.compile(optimizer)
        trainer.fit(goal.pool(step, size=24, batch_size=4), steps_per_epoch=updates)
        trainer.save(path)
    kind = tfnca.Perturbed if is_matrix else tfnca.Injected
    return kind(step.host, tfnca.load(path))


def measured(
    name: str, shown: str, step: Step, starts: np.ndarray, tasks: list[tfnca.TextureTask]
) -> Row:
    """Runs an attack from grown textures. Each seed has its own adversaries."""
    mask = None
    if step.has_adversary:
        mask = tfnca.random_mask(np.ones(starts.shape[:3], bool), DENSITY, seed=1)
    to_host, to_goal, pictures = [], [], []
    state, before = starts, 0
    for at in AT:
        state = tfnca.rollout(
            step, state, at - before, mask=mask, seed=1, step_offset=SETTLED + before
        )
        before = at
        seen = tasks[0].picture(state)
        pictures.append(seen[0])
        for found, task in zip((to_host, to_goal), tasks, strict=True):
            found.append([sliced_wasserstein(one, task.example) for one in seen])
    return Row(name, shown, to_host, to_goal, pictures)


def compared(
    host: CellularAutomaton, other: CellularAutomaton, size: int, updates: dict[str, int], out: Path
) -> list[Row]:
    """Trains both attacks on a host and measures them, and their controls."""
    tasks = [tfnca.TextureTask(example_of(ca), size) for ca in (host, other)]
    copy = type(host).from_config(host.get_config())
    copy.set_weights(host.get_weights())
    adversary, matrix = (
        trained(step, tasks[1], out / f"{name}.keras", updates[name])
        for name, step in (
            ("adversary", tfnca.Injected(host, copy)),
            ("matrix", tfnca.Perturbed(host)),
        )
    )
    grown, goals = (
        np.concatenate([tfnca.rollout(ca, blank(ca), SETTLED, seed=seed) for seed in SEEDS])
        for ca in (host, other)
    )
    some = f"{100 * DENSITY:.0f} %"
    attacks = [
        ("host, no attack", host, "no attack"),
        ("identity matrix", tfnca.Perturbed(host), ""),
        (f"{some} of the cells run the goal's rule", tfnca.Injected(host, other), ""),
        (f"{some} trained adversaries", adversary, f"{some} adversaries"),
        ("trained matrix", matrix, "matrix"),
        ("the goal's own cells", other, "the goal"),
    ]
    return [
        measured(name, shown, step, goals if step is other else grown, tasks)
        for name, step, shown in attacks
    ]


def table(rows: list[Row]) -> str:
    """The distances to the goal, and at the last step to the host: medians over the seeds."""
    steps = " | ".join(f"after {at}" for at in AT)
    lines = [f"| distance to the goal | {steps} | to the host, after {AT[-1]} |", "|---" * 6 + "|"]
    for row in rows:
        found = [*row.to_goal, row.to_host[-1]]
        lines.append(f"| {row.name} | {' | '.join(f'{np.median(each):.3f}' for each in found)} |")
    return "\n".join(lines)


def main() -> None:
    positive = must("be positive", lambda value: value > 0)
    parser = Parser(description=__doc__)
    parser.add_argument("file", help="file of the textures")
    parser.add_argument("--host", default="bubbly_0101", help="texture under attack (%(default)s)")
    parser.add_argument("--goal", default="honeycombed_0061", help="the goal (%(default)s)")
    parser.add_argument(
        "--size", type=int, default=32, check=positive, help="training grid (%(default)s)"
    )
    for name, default in (("adversary", 600), ("matrix", 200)):
        parser.add_argument(
            f"--{name}-updates",
            type=int,
            default=default,
            check=positive,
            help="training steps (%(default)s)",
        )
    parser.add_argument(
        "--out", type=Path, default=Path("out/textures"), help="folder (%(default)s)"
    )
    options = parser.parse_args()
    with plain_errors():
        cas = [
            tfnca.load(options.file, convention="texture", name=name)
            for name in (options.host, options.goal)
        ]
        options.out.mkdir(parents=True, exist_ok=True)
        updates = {"adversary": options.adversary_updates, "matrix": options.matrix_updates}
        rows = compared(*cas, options.size, updates, options.out)
        print(table(rows))
        report = [row._replace(pictures=[])._asdict() for row in rows]
        write_atomically(options.out / "textures.json", json.dumps(report, indent=1))
        shown = [row for row in rows if row.shown]
        pictures = np.stack([row.pictures[-1] for row in shown])
        labels = [row.shown for row in shown]
        save_png(options.out / "textures.png", tile(pictures, 4, scale=4, labels=labels))


if __name__ == "__main__":
    main()
