"""Measures the gain of several workers on this machine: training steps per second, and gather time.

One process with all cores runs a lizard training, and several processes that divide the cores run
the same training with equally many shards. Then the workers time gathering the gradients alone.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "train"))
FLOATS = 8320 + 2
"""Numbers that a worker sends per training step of a Growing CA: gradients and two losses."""

GATHER = f"""
import time
from tfnca.training.workers import join_workers
workers = join_workers()
import tensorflow as tf
rows = tf.ones([1, {FLOATS}])
for _ in range(50):
    workers.gather(rows, "gradients")
began = time.perf_counter()
for _ in range(500):
    workers.gather(rows, "gradients")
if workers.is_chief:
    print("milliseconds", 1e3 * (time.perf_counter() - began) / 500)
"""


def steps_a_second(folder, workers, shards, steps):
    """Steps per second in the second half of a short training, which excludes compiling."""
    launch = ["train/launch.py", str(workers)] if workers > 1 else []
    command = [sys.executable, *launch, "train/growing.py", "--shards", str(shards)]
    command += ["--steps", str(steps), "--measure", "none", "--snapshot-seconds", "1000"]
    command += ["--size", "24", "--padding", "8", "--pool-size", "128"]
    subprocess.run([*command, "--out", folder], check=True, cwd=ROOT, stderr=subprocess.DEVNULL)
    with open(Path(folder) / "history.csv", encoding="utf-8") as file:
        rows = {int(row["step"]): float(row["seconds"]) for row in csv.DictReader(file)}
    return (steps - steps // 2) / (rows[steps] - rows[steps // 2])


def milliseconds_to_gather(count):
    from tfnca.jobs.launch import free_addresses, start

    addresses = free_addresses(count)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as log:
        command = [sys.executable, "-c", GATHER]
        running = [start(i, addresses, command, log, quiet=True) for i in range(count)]
        for process in running:
            process.wait(300)
        log.seek(0)
        return next(float(line.split()[1]) for line in log if line.startswith("milliseconds"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200, help="training steps, a multiple of 200")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    found = {"workers": given.workers, "one": [], "several": []}
    for _ in range(given.rounds):
        for name, workers in (("one", 1), ("several", given.workers)):
            with tempfile.TemporaryDirectory() as folder:
                rate = steps_a_second(folder, workers, given.workers, given.steps)
            found[name].append(round(rate, 2))
            print(f"{name}: {rate:.2f} training steps per second", file=sys.stderr)
    found["milliseconds_to_gather"] = round(milliseconds_to_gather(given.workers), 2)
    found["ratio"] = round(max(found["several"]) / max(found["one"]), 2)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
