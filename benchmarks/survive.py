"""Kills a training run repeatedly with SIGKILL, and compares the result with an uninterrupted run.

One short lizard run is not interrupted. The same run is then killed at random moments, half of them
while a snapshot is being written, and resumed each time. At the end all weights, the optimiser, the
pool and the history must equal those of the uninterrupted run, bit for bit.

With --workers, several processes share the run and a random one is killed. The others must end by
themselves. Then all start again.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).parent.parent
PATIENCE = 300.0
"""Seconds to wait for the moment to kill a run."""


def command(folder, steps, resume, workers):
    together = [str(ROOT / "train/launch.py"), str(workers)] if workers > 1 else []
    return [
        sys.executable,
        *together,
        str(ROOT / "train/growing.py"),
        "--out",
        str(folder),
        "--steps",
        str(steps),
        "--size",
        "20",
        "--padding",
        "6",
        "--pool-size",
        "1024",
        "--min-ca-steps",
        "8",
        "--max-ca-steps",
        "16",
        "--snapshot-seconds",
        "0.1",
        "--preview-steps",
        str(10 * steps),
        "--measure",
        "none",
        *(["--resume"] if resume else []),
    ]


def writing(folder):
    """The snapshot that is being written, if there is one."""
    return next(iter(folder.glob(".snapshot.bin.*.tmp*")), None)


def has_snapshot(folder):
    """Whether a snapshot exists to resume from, possibly only the previous one."""
    return any((folder / name).exists() for name in ("snapshot.bin", "snapshot.previous.bin"))


def end(process, workers, rng):
    """Kills a run or one of its workers. Returns the seconds until all processes have ended."""
    began = time.monotonic()
    if workers == 1:
        process.send_signal(signal.SIGKILL)
    elif process.poll() is None:
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
        if found.stdout:
            os.kill(rng.choice(list(map(int, found.stdout.split()))), signal.SIGKILL)
    process.wait(PATIENCE)
    return time.monotonic() - began


def kill_once(folder, steps, aim, rng, log, workers):
    """Starts or resumes the run and kills it. Returns facts about that moment.

    Args:
        folder: The run's folder.
        steps: The run's training steps.
        aim: ``"writing"`` to kill it in the middle of a snapshot, ``"any"`` to kill it at a random
            moment after it has started to train.
        rng: Source of random delays.
        log: File for the run's output.
        workers: Processes that share the run.
    """
    before = has_snapshot(folder)
    process = subprocess.Popen(
        command(folder, steps, before, workers), stdout=log, stderr=log, cwd=ROOT
    )
    deadline = time.monotonic() + PATIENCE
    history = folder / "history.csv"
    seen = history.stat().st_mtime_ns if history.exists() else 0
    while process.poll() is None and time.monotonic() < deadline:
        if aim == "writing" and writing(folder):
            break
        moved = history.exists() and history.stat().st_mtime_ns != seen
        if aim == "any" and moved:
            time.sleep(rng.uniform(0.0, 2.0))
            break
        time.sleep(0.0005)
    ended = process.poll() is not None
    seconds = end(process, workers, rng)
    return {
        "aim": aim,
        "killed": not ended,
        "in_writing": writing(folder) is not None,
        "resumed": before,
        "seconds_to_end": seconds,
    }


def end_state(folder):
    """The final state of a run, as arrays by name."""
    body = (folder / "snapshot.bin").read_bytes().split(b"\n", 2)[2]
    path = folder / "snapshot.npz"
    path.write_bytes(body)
    with np.load(path) as arrays:
        found = dict(arrays)
    path.unlink()
    rows = json.loads(found.pop("history").tobytes())
    found["losses"] = np.array([row["loss"] for row in rows])
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/survive"))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments")
    arguments = parser.parse_args()
    alone, hunted = arguments.out / "alone", arguments.out / "hunted"
    shutil.rmtree(arguments.out, ignore_errors=True)
    for folder in (alone, hunted):
        folder.mkdir(parents=True)
    rng, workers = random.Random(arguments.seed), arguments.workers
    kills = []
    with open(arguments.out / "runs.log", "w", encoding="utf-8") as log:
        subprocess.run(
            command(alone, arguments.steps, False, workers),
            check=True,
            stdout=log,
            stderr=log,
            cwd=ROOT,
        )
        for number in tqdm(range(arguments.kills), unit="kill"):
            aim = ("any", "writing")[number % 2] if workers == 1 else "any"
            kills.append(kill_once(hunted, arguments.steps, aim, rng, log, workers))
        resume = has_snapshot(hunted)
        subprocess.run(
            command(hunted, arguments.steps, resume, workers),
            check=True,
            stdout=log,
            stderr=log,
            cwd=ROOT,
        )
    left_alone, killed = end_state(alone), end_state(hunted)
    different = sorted(
        name for name in left_alone if not np.array_equal(left_alone[name], killed.get(name))
    )
    result = {
        "kills": sum(kill["killed"] for kill in kills),
        "in_the_writing_of_a_snapshot": sum(k["killed"] and k["in_writing"] for k in kills),
        "resumed": sum(kill["resumed"] for kill in kills) + int(resume),
        "longest_until_all_had_ended": max(kill["seconds_to_end"] for kill in kills),
        "arrays": len(left_alone),
        "different": different,
        "moments": kills,
    }
    (arguments.out / "survive.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
    print(json.dumps({key: value for key, value in result.items() if key != "moments"}, indent=2))
    raise SystemExit(1 if different or result["kills"] < arguments.kills else 0)


if __name__ == "__main__":
    main()
