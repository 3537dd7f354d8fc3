"""Compares the numbers of another revision with the present ones: states of all models, a training.

Both revisions run every model in saved_models/ that both can read, in separate processes, with both
engines: a lizard for 200 CA steps from its seed, then 100 more under the attack; digits for 100 and
100. With --train both also train and measure the takeover of `make reproduce`. Prints a table.
Exits with code 1 if any number differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from revisions import ROOT, checked_out

from tfnca.deprecated import ARGUMENTS, flag

ENGINES = ("sparse", "dense")
TRAIN = ["train/mnist_adversary.py", "--drops", "0.85", "--ema", "0.99", "--new-digits", "1",
         "--swapped-digits", "1", "--recovery-items", "2", "--test-digits", "600"]  # fmt: skip

RUN = """
import sys
from pathlib import Path
import numpy as np
import tfnca

models, out = Path(sys.argv[1]), Path(sys.argv[2])
digits = tfnca.load_digits("test").images[:8]
starts = {16: tfnca.seed_state(72, 2), 20: tfnca.digit_state(digits)}
masks = {k: (np.random.default_rng(0).random(s.shape[:3]) < 0.2) * 1.0 for k, s in starts.items()}
hosts = {16: tfnca.load(models / "growing_lizard/model.keras"),
         20: tfnca.load(models / "mnist/model.keras")}
states = {}
for path in sorted([*models.rglob("model.keras"), *models.rglob("perturbation.npy")]):
    name = str(path.relative_to(models))
    channels, first = (20, 100) if "mnist" in name else (16, 200)
    host, kwargs = hosts[channels], {}
    try:
        if "adversary" in name:
            step, kwargs = tfnca.Injected(host, tfnca.load(path)), {"mask": masks[channels]}
        elif path.parent.name in ("growing_lizard", "mnist", "mnist_defended"):
            step = tfnca.load(path)
        else:
            load = tfnca.load_perturbation if path.suffix == ".npy" else tfnca.load
            step = tfnca.Perturbed(host, load(path))
    except (ValueError, AttributeError) as error:
        print(f"{name} is not read: {str(error)[:90]}", file=sys.stderr)
        continue
    for engine in sys.argv[3:]:
        grown = tfnca.rollout(host, starts[channels], first, seed=0, engine=engine)
        state = tfnca.rollout(
            step, grown, 100, seed=0, step_offset=first, engine=engine, **kwargs
        )
        states[f"{name} {engine}"] = np.asarray(state)
np.savez(out, **states)
"""


def python(code: Path, *arguments: object) -> None:
    """Runs a command with a revision's package, in its folder."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": str(code)}
    command = [sys.executable, *map(str, arguments)]
    subprocess.run(command, cwd=code, env=environment, check=True)


def compare(name: str, old: np.ndarray, new: np.ndarray) -> bool:
    """Prints a row and returns whether the numbers are equal."""
    if old.tobytes() == new.tobytes():
        verdict = "same bits"
    elif np.array_equal(old, new, equal_nan=True):
        verdict = "same except for signs of zeros"
    else:
        verdict = f"differs by {np.abs(old - new).max():.2g}"
    print(f"| {name} | {verdict} |", flush=True)
    return not verdict.startswith("differs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="git revision to compare the present files with")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument(
        "--train", type=int, default=0, metavar="STEPS", help="training steps of the takeover"
    )
    options = parser.parse_args()
    with checked_out(options.revision) as old, tempfile.TemporaryDirectory() as folder:
        code = {"old": old, "new": ROOT}
        same = [*states(code, Path(folder), options.engines)]
        if options.train:
            same += training(code, Path(folder), options.train)
    print(f"\n{sum(same)} of {len(same)} have the same numbers.")
    sys.exit(not all(same))


def states(code: dict[str, Path], folder: Path, engines: list[str]):
    """Compares the states of every model that both revisions read."""
    for side, path in code.items():
        python(path, "-c", RUN, ROOT / "saved_models", folder / f"{side}.npz", *engines)
    old, new = (np.load(folder / f"{side}.npz") for side in code)
    print("| model, engine | |\n|---|---|")
    for name in old.files:
        yield compare(name, old[name], new[name])


def training_command(code: Path) -> list[str]:
    """The command of the training, with the names of options that a revision knows."""
    if (code / "tfnca/deprecated.py").is_file():
        return TRAIN
    old = {flag(new): flag(name) for name, new in ARGUMENTS.items()}
    return [old.get(word, word) for word in TRAIN]


def training(code: dict[str, Path], folder: Path, steps: int):
    """Compares a takeover, trained and measured by each revision."""
    rows = {}
    for side, path in code.items():
        out = folder / f"takeover_{side}"
        python(path, *training_command(path), "--steps", steps, "--out", out)
        rows[side] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    for name in sorted(rows["old"].keys() & rows["new"].keys()):
        old, new = rows["old"][name], rows["new"][name]
        print(f"| metrics.json, {name} | {'the same' if old == new else 'differs'} |", flush=True)
        yield old == new


if __name__ == "__main__":
    main()
