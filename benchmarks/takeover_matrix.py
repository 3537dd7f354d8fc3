"""Turns a released takeover host red by a matrix, after its states are rescaled to stay within ±3.

    python benchmarks/takeover_matrix.py lizard_persistent.pt --out out/takeover_matrix

The file is that of Cavuoti et al., 2022: LetteraUnica/neural_cellular_automata. Its states reach
values beyond ±3, where a perturbation clips, so that even the identity matrix changes the lizard.
Trains a matrix on the rescaled host unless --out contains it already, prints the table of
docs/examples/takeover.md, and writes it and its picture to --out.
"""

import json
from pathlib import Path

import numpy as np

import tfnca
from tfnca.automata.state import ALPHA, STATE_BOUND
from tfnca.commands import Parser, must, plain_errors
from tfnca.files import write_atomically
from tfnca.pictures import save_png, tile

SIZE, RUNS, SETTLED, AT = 64, 8, 200, (100, 500)
ROOM = 0.9
"""The fraction of ±3 that a rescaled channel reaches."""


class LizardTask(tfnca.PatternTask):
    """Grows a picture from the seed of these hosts: alpha is 1, all hidden channels are 0."""

    def start(self, count: int, channels: int, seed: int = 0) -> tfnca.Batch:
        state = np.array(super().start(count, channels, seed).state)
        state[..., ALPHA + 1 :] = 0.0
        return tfnca.Batch(state=state)


def without_border(ca: tfnca.NeuralCA) -> tfnca.GrowingCA:
    """The host as a Growing CA, which differs only beyond a border that the lizard never reaches.

    `Perturbed` clips the states of a Growing CA, as the article does, and the living-cells engine
    runs it.
    """
    same = tfnca.GrowingCA(ca.channels, ca.rule.hidden[0])
    same.set_weights(ca.get_weights())
    return same


def largest(ca: tfnca.GrowingCA, start: np.ndarray) -> np.ndarray:
    """The largest absolute value of each channel while a lizard grows and after it has grown."""
    found = np.zeros(ca.channels)
    for _, state in tfnca.trajectory(ca, start, 2 * SETTLED, every=4, seed=0):
        found = np.maximum(found, np.abs(state).max((0, 1, 2)))
    return found


def picture_of(states: np.ndarray) -> np.ndarray:
    """The mean picture of some states, premultiplied RGBA in [0, 1]."""
    mean = np.clip(states[..., : ALPHA + 1].mean(0), 0.0, 1.0)
    mean[..., :ALPHA] = np.minimum(mean[..., :ALPHA], mean[..., ALPHA:])
    return mean


def measured(
    step: tfnca.Step, seeds: np.ndarray, grown: np.ndarray, tasks: list[LizardTask]
) -> dict:
    """A step's errors against each task, by the start and the number of steps, and a picture."""
    errors = {}
    for start, state, first in (("seed", seeds, 0), ("grown", grown, SETTLED)):
        before = 0
        for at in AT:
            offset = first + before
            state = tfnca.rollout(step, state, at - before, seed=1, step_offset=offset).numpy()
            before = at
            batch = tfnca.Batch(state=state)
            found = [float(np.median(task.item_errors(state, batch))) for task in tasks]
            errors[f"{start}, {at}"] = found
    return {"errors": errors, "picture": tfnca.to_rgb(state)[0]}


def table(rows: dict[str, dict]) -> str:
    """The errors, two columns for each start and number of steps."""
    starts = [f"{start}, {at}" for start in ("seed", "grown") for at in AT]
    titles = [f"{start}: {of}" for start in starts for of in ("host", "goal")]
    lines = [f"| MSE from … against the … | {' | '.join(titles)} |"]
    lines.append("|---" * (1 + len(titles)) + "|")
    for name, row in rows.items():
        found = [error for start in starts for error in row["errors"][start]]
        lines.append(f"| {name} | {' | '.join(f'{error:.4f}' for error in found)} |")
    return "\n".join(lines)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("host", help="file of a host")
    parser.add_argument(
        "--updates",
        type=int,
        default=200,
        check=must("be positive", lambda value: value > 0),
        help="training steps (%(default)s)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("out/takeover_matrix"), help="folder (%(default)s)"
    )
    options = parser.parse_args()
    with plain_errors():
        options.out.mkdir(parents=True, exist_ok=True)
        rows = compared(options.host, options.updates, options.out)
        print(table(rows))
        pictures = np.stack([row.pop("picture") for row in rows.values()])
        save_png(
            options.out / "takeover.png", tile(pictures, scale=4, labels=list(rows), columns=4)
        )
        write_atomically(options.out / "takeover.json", json.dumps(rows, indent=1))


def compared(file: str, updates: int, out: Path) -> dict[str, dict]:
    """The host, the identity on both hosts, and the trained matrix: each by name, measured."""
    released = tfnca.load(file, convention="takeover")
    host = without_border(released)
    first = LizardTask(np.zeros((SIZE, SIZE, 4))).start(RUNS, host.channels).state
    grown = tfnca.rollout(host, first, SETTLED, seed=0).numpy()
    reference = tfnca.rollout(released, first, SETTLED, seed=0).numpy()
    print(f"Largest difference from the host on a torus: {np.abs(grown - reference).max():.1g}")
    reached = largest(host, first)
    factors = np.minimum(1.0, ROOM * STATE_BOUND / reached)
    factors[: ALPHA + 1] = 1.0
    scaled = host.scaled(factors)
    print(f"Largest value: {reached.max():.2f}, rescaled {largest(scaled, first).max():.2f}")
    plain = picture_of(grown)
    tasks = [LizardTask(plain), LizardTask(plain[..., [1, 0, 2, 3]])]
    path = out / "red.npy"
    if not path.exists():
        step = tfnca.Perturbed(scaled)
        trainer = tfnca.Trainer(step, task=tasks[1])
        trainer.compile(tfnca.WhitenedAdam(1e-3, use_ema=True))
        trainer.fit(tasks[1].pool(step, size=64), steps_per_epoch=updates)
        np.save(path, step.perturbation.to_array())
    steps = {
        "host, no attack": host,
        "identity": tfnca.Perturbed(host),
        "identity, rescaled host": tfnca.Perturbed(scaled),
        "trained matrix, rescaled host": tfnca.Perturbed(scaled, tfnca.load_perturbation(path)),
    }
    return {
        name: measured(step, first, grown * factors if "rescaled" in name else grown, tasks)
        for name, step in steps.items()
    }


if __name__ == "__main__":
    main()
