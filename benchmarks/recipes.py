"""Trains an attack by its recipe, changing one option at a time, with equally many steps.

The table shows the effect of each option: the median MSE after 500 and 5,000 steps, 16 runs on
72×72, from the seed (a matrix) and from the grown lizard. For an adversary it also shows the MSE of
the host cells, and for a matrix the number of runs that recover after the attack is removed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).parent.parent
COMMON = {
    "stable": [],
    "published": ["--recipe", "published"],
    "any state may be reset": ["--reset-policy", "any"],
    "weights not averaged": ["--ema", "0"],
    "a pool of 1,024": ["--pool-size", "1024"],
    "40 to 56 CA steps": ["--min-ca-steps", "40", "--max-ca-steps", "56"],
    "no damage": ["--damaged", "0"],
    "learning rate 2e-3": ["--learning-rate", "2e-3"],
}
VARIANTS = {
    "perturbation": COMMON
    | {
        "no recovery items": ["--recovery-items", "0"],
        "adam at 5e-4": ["--optimizer", "adam", "--learning-rate", "5e-4"],
    },
    "growing_adversary": COMMON
    | {
        "from zero": ["--start", "zero"],
        "own cells with full weight": ["--own-weight", "1"],
        "a fraction that falls from 0.4": ["--first-density", "0.4"],
    },
}


def at(rows, step):
    return next(row for row in rows if row["step"] == step)


def summary(name, metrics, seconds):
    """One row of the table, from a run's measurements."""
    row = {"recipe": name, "seconds": round(seconds)}
    for start in ("from_seed", "from_grown"):
        for step in (500, 5000):
            if start in metrics:
                found = at(metrics[start], step)
                row[f"{start}_{step}"] = found["median"]
                if "host_median" in found:
                    row[f"host_cells_{step}"] = found["host_median"]
    if "lifted" in metrics:
        row["back"] = metrics["lifted"]["back"]
    return row


def table(rows):
    """The rows in Markdown."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names)]
    lines += [[f"{v:.4f}" if isinstance(v, float) else str(v) for v in r.values()] for r in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Further options are passed to the training script."
    )
    parser.add_argument("attack", choices=list(VARIANTS))
    parser.add_argument(
        "--steps", default="400", help="training steps per run (default: %(default)s)"
    )
    parser.add_argument("--only", nargs="+", help="names of recipes (default: all)")
    parser.add_argument("--out", type=Path, default=Path("out/recipes"))
    options, rest = parser.parse_known_args()
    variants = VARIANTS[options.attack]
    unknown = set(options.only or []) - set(variants)
    if unknown:
        parser.error(
            f"--only must name recipes among {list(variants)}. Received: {sorted(unknown)}"
        )
    rows = []
    for name in tqdm(options.only or list(variants), unit="run"):
        folder = options.out / options.attack / name.replace(" ", "_")
        command = [sys.executable, str(ROOT / f"train/{options.attack}.py"), "--out", str(folder)]
        # A variant's options come last and win.
        subprocess.run(
            [*command, "--steps", options.steps, *rest, *variants[name]], check=True, cwd=ROOT
        )
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        seconds = json.loads((folder / "config.json").read_text(encoding="utf-8"))["seconds"]
        rows.append(summary(name, metrics, seconds))
        for ending, text in (("json", json.dumps(rows, indent=2)), ("md", table(rows))):
            (options.out / f"{options.attack}.{ending}").write_text(text, encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
