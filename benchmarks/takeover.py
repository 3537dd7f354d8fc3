"""Repeats the takeover of Cavuoti et al. (2022) with the models that they released.

Each adversary gets a square patch, a single cell, or scattered cells of the grown host, and
spreads. For each number of steps, prints the share of the adversary's cells, the mean colour and
the number of cells, with the host alone along the same path. At the end, all cells are given back
to the host, to see whether it recovers. Writes measures and pictures of each attack.

FOLDER has the released files, for example `lizard_persistent.pt` and `lizard_to_red_2x2.pt`, from
`pretrained_models` of github.com/LetteraUnica/neural_cellular_automata (MIT).
"""

import argparse
import itertools
import json
import time
from pathlib import Path

import numpy as np

import tfnca
from tfnca.files import write_atomically
from tfnca.measures.invasion import measure_invasion
from tfnca.measures.progress import advance, on_screen
from tfnca.pictures import save_png, tile

ATTACKS = {
    "red": ("lizard_persistent", "lizard_to_red_2x2", 2, 200),
    "no_tail": ("lizard_persistent", "lizard_to_no_tail_2x2", 2, 200),
    "blue": ("lizard_persistent", "lizard_to_blue_2x2", 2, 200),
    "butterfly": ("bug_persistent", "bug_to_butterfly_2x2", 2, 200),
    "persistent": ("lizard_growing", "lizard_growing_to_persistent_3x3", 3, 60),
}
"""Host, adversary, side of the patch, and the host's age at the invasion."""


def first_cell(size, runs, channels):
    """The released hosts' seed: alpha 1 and every other channel 0."""
    state = np.zeros((runs, size, size, channels), np.float32)
    state[:, size // 2, size // 2, 3] = 1.0
    return state


def placed(place, side, cells, seed):
    """The cells that the adversary gets: ``patch``, ``cell``, or a fraction such as ``0.01``."""
    if place in ("patch", "cell"):
        return tfnca.random_patch(cells, side if place == "patch" else 1, seed=seed)
    return tfnca.random_mask(cells, float(place), seed=seed)


def between(values, percent=False):
    """The lowest and the highest of several values, without those that are NaN."""
    values = [value for value in values if not np.isnan(value)]
    if not values:
        return "none"
    low, high = min(values), max(values)
    if percent:
        return f"{100 * low:.0f}-{100 * high:.0f} %"
    return f"{low:.0f}-{high:.0f}" if high >= 2 else f"{low:.2f} to {high:.2f}"


def run(name, place, options):
    """One attack: its rows, the host's, and a picture of the first runs along the path."""
    host_name, adversary_name, side, age = ATTACKS[name]
    host, adversary = (
        tfnca.load(options.folder / f"{each}.pt", convention="takeover")
        for each in (host_name, options.adversary or adversary_name)
    )
    step, seed = tfnca.Invasion(host, adversary), options.seed
    bar = on_screen(age + 2 * max(options.at) + options.removed)
    state = first_cell(options.size, options.runs, host.channels)
    grown = advance(host, state, age, bar, seed=seed)
    cells = np.asarray(grown)[..., 3] > 0.1
    state = step.invade(grown, placed(place, side, cells, seed))
    path = {"at": options.at, "seed": seed, "first_step": age, "bar": bar}
    alone, _ = measure_invasion(host, grown, **path)
    rows, states = measure_invasion(step, state, **path)
    freed = step.invade(states[-1], np.ones(np.shape(state)[:3]), species=0)
    freed = freed[..., : host.channels]
    path |= {"at": [options.removed], "first_step": age + options.at[-1]}
    after, [freed] = measure_invasion(host, freed, **path)
    bar.close()
    seen = [*(step.seen(each) for each in (state, *states)), freed]
    picture = tile(
        np.concatenate([tfnca.to_rgb(each[:4]) for each in seen]), min(options.runs, 4), scale=3
    )
    return {"attack": rows, "host": alone, "removed": after}, picture


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--attacks", nargs="+", choices=ATTACKS, default=[*ATTACKS])
    parser.add_argument(
        "--places",
        nargs="+",
        default=["patch"],
        help="what the adversary gets: patch, cell, or a fraction of the cells, such as 0.01",
    )
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--size", type=int, default=64, help="side of the grid")
    parser.add_argument("--at", type=int, nargs="+", default=[60, 120, 500])
    parser.add_argument(
        "--removed", type=int, default=500, help="steps after all cells are given back to the host"
    )
    parser.add_argument("--adversary", help="another file of FOLDER, in place of the attack's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/takeover"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    columns = (
        "share",
        "red - green",
        "of the host's own",
        "cells",
        "host alone: red - green",
        "cells",
    )
    print("| attack | step |", " | ".join(columns), "|")
    print("|---" * (2 + len(columns)) + "|")
    for name, place in itertools.product(options.attacks, options.places):
        began = time.process_time()
        found, picture = run(name, place, options)
        for row, host in zip(found["attack"], found["host"], strict=True):
            values = [between(row["share"], True), between(row["red"])]
            values += [between(row["red_of_host"]), between(row["cells"])]
            values += [between(host["red"]), between(host["cells"])]
            print(f"| {name}, {place} | {row['step']:,} |", " | ".join(values), "|", flush=True)
        (row,) = found["removed"]
        values = [between(row["red"]), between(row["red_of_host"]), between(row["cells"])]
        print(f"| removed | {row['step']:,} | 0 % |", " | ".join(values), "| | |", flush=True)
        found["cpu_seconds"] = time.process_time() - began
        stem = f"{name}_{place}"
        write_atomically(options.out / f"{stem}.json", json.dumps(found, indent=1))
        save_png(options.out / f"{stem}.png", picture)


if __name__ == "__main__":
    main()
