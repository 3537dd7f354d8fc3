"""Measures an invasion of a Growing CA that `tfnca attack invasion` trained.

The adversary gets a square of 2×2 cells, a single cell, or scattered cells of the grown host. For
each place and number of steps, prints the fraction of the cells that it holds, the number of cells,
and the mean squared error against the target, next to the host alone. Writes them, and a picture.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from takeover import between, placed

import tfnca
from tfnca.files import write_atomically
from tfnca.measures.invasion import measure_invasion
from tfnca.measures.progress import advance, on_screen
from tfnca.pictures import save_png, tile

AGE = 200
PADDING = 4


def measured(host, adversary, target, place, options):
    """Rows of the invasion and of the host alone, and a picture of the first runs."""
    step, seed = tfnca.Invasion(host, adversary), options.seed
    bar = on_screen(AGE + 2 * max(options.at))
    start = tfnca.seed_state(len(target), options.runs)
    grown = advance(host, start, AGE, bar, seed=seed)
    cells = np.asarray(grown)[..., 3] > 0.1
    state = step.invade(grown, placed(place, 2, cells, seed))
    path = {"at": options.at, "target": target, "seed": seed, "first_step": AGE, "bar": bar}
    alone, _ = measure_invasion(host, grown, **path)
    rows, states = measure_invasion(step, state, **path)
    bar.close()
    seen = [tfnca.to_rgb(step.seen(each[:4])) for each in (state, *states)]
    return {"attack": rows, "host": alone}, tile(np.concatenate(seen), 4, scale=3)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="the adversary's model.keras")
    parser.add_argument("--host", default="growing_lizard")
    parser.add_argument("--target", default="red")
    parser.add_argument("--places", nargs="+", default=["0.5", "0.1", "patch", "cell"])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--at", type=int, nargs="+", default=[120, 500])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/invaded"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    host, adversary = tfnca.load(options.host), tfnca.load(options.model)
    target = tfnca.pad_target(tfnca.load_target(options.target), PADDING)
    print("| adversary gets | step | adversaries | above 90 % | cells | MSE | host alone: MSE |")
    print("|---|---|---|---|---|---|---|")
    for place in options.places:
        began = time.process_time()
        found, picture = measured(host, adversary, target, place, options)
        for row, alone in zip(found["attack"], found["host"], strict=True):
            taken = sum(share > 0.9 for share in row["share"])
            values = [between(row["share"], True), f"{taken} of {options.runs}"]
            values += [between(row["cells"])]
            values += [f"{np.median(each['error']):.4f}" for each in (row, alone)]
            print(f"| {place} | {row['step']:,} |", " | ".join(values), "|", flush=True)
        found["cpu_seconds"] = time.process_time() - began
        write_atomically(options.out / f"{place}.json", json.dumps(found, indent=1))
        save_png(options.out / f"{place}.png", picture)


if __name__ == "__main__":
    main()
