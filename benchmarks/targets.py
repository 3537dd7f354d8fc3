"""Trains an adversary for each class and measures its takeover rate at several fractions.

Each adversary is trained at a fraction of 10 % and measured at 0.5 to 10 %, with three runs of
masks and noise each. Existing results are not computed again. Prints a table of takeover rates by
target and fraction. Its last row is the bundled adversary.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).parent.parent
DENSITIES = (0.5, 1, 2, 5, 10)
HOST = ROOT / "saved_models/mnist/model.keras"


def python(*arguments):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))} failed:\n{done.stderr[-2000:]}")


def train(target, options, folder):
    """Trains the adversary for one class, unless it exists."""
    if not (folder / "model.keras").exists():
        python(
            "train/mnist_adversary.py", "--digit", target, "--steps", options.steps,
            "--drops", 0.85, "--ema", 0.99, "--measure", "none", "--out", folder, *data(options),
        )  # fmt: skip
    return folder / "model.keras"


def sweep(model, target, options, folder):
    """Measures takeover rates by fraction, unless they exist."""
    path = folder / "sweep.json"
    if not path.exists():
        python(
            "-m", "tfnca.measures.sweep", model, "--host", HOST, "--digit", target, "--out", folder,
            "--densities", ",".join(map(str, DENSITIES)),
            "--test-digits", options.test_digits, *data(options),
        )  # fmt: skip
    return json.loads(path.read_text(encoding="utf-8"))["summary"]


def data(options):
    return ["--data-dir", options.data_dir] if options.data_dir else []


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out/targets")
    parser.add_argument("--steps", type=int, default=1000, help="training steps per adversary")
    parser.add_argument("--test-digits", type=int, default=200)
    parser.add_argument("--targets", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    options = parser.parse_args()
    rows = {}
    for target in tqdm(options.targets, unit="target"):
        folder = options.out / str(target)
        model = train(target, options, folder)
        rows[f"{target}"] = sweep(model, target, options, folder / "sweep")
    ours = ROOT / "saved_models/mnist_adversary/model.keras"
    rows["8, bundled"] = sweep(ours, 8, options, options.out / "sweep_ours")
    print("| target |", " | ".join(f"{density:g} %" for density in DENSITIES), "|")
    print("|---" * (len(DENSITIES) + 1) + "|")
    for name, summary in rows.items():
        print(f"| {name} |", " | ".join(f"{row['takeover']:.3f}" for row in summary), "|")


if __name__ == "__main__":
    main()
