"""Starts several workers on this machine that train one model together.

    tfnca launch 2 train growing --steps 2000 --out out/growing
    python train/launch.py 2 train/growing.py --steps 2000 --out out/growing

Each worker is a process with its own cores. The job's options follow its name. --shards is by
default the number of workers. The first worker shows its progress and writes the results. If one
worker ends early, all end. The same command with --resume continues from the last snapshot, even
with another number of workers, if --shards stays the same.

To use several machines, start the job itself on each, with --strategy multiworker, --shards, a
shared folder as --out, and the environment variable TF_CONFIG as TensorFlow documents it.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, NoReturn

PATIENCE = 60
"""Seconds that the other workers have to end by themselves after one has failed."""


def free_addresses(count: int) -> list[str]:
    """Addresses with free ports of this machine."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def cores_of(index: int, count: int) -> set[int] | None:
    """The cores of one worker; all cores if there are fewer cores than workers."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[index::count]) or set(cores)


def start(
    index: int, addresses: list[str], command: list[str], log: IO[str], quiet: bool = False
) -> subprocess.Popen:
    """Starts one worker. The first prints to this terminal unless quiet, the others to a file."""
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    output = None if index == 0 and not quiet else log
    cores = cores_of(index, len(addresses))
    return subprocess.Popen(
        command,
        env={**os.environ, "TF_CONFIG": json.dumps(task)},
        stdout=output,
        stderr=output,
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
    )


def wait(workers: list[subprocess.Popen]) -> tuple[int | None, int]:
    """Waits for all workers. After one has failed, waits PATIENCE seconds, then kills the others.

    Returns the number of the first worker that failed, or None, and its return code.
    """
    first, deadline = None, float("inf")
    while any(worker.poll() is None for worker in workers):
        if first is None:
            first = next((i for i, worker in enumerate(workers) if worker.poll()), None)
            deadline = time.monotonic() + PATIENCE if first is not None else deadline
        if time.monotonic() > deadline:
            for worker in workers:
                worker.kill()
        time.sleep(0.1)
    failed = [i for i, worker in enumerate(workers) if worker.returncode]
    first = failed[0] if first is None and failed else first
    return first, 0 if first is None else workers[first].returncode


def main(prog: str | None = None, words: Sequence[str] | None = None) -> NoReturn:
    """Starts the workers that the command line asks for, and waits for them."""
    parser = argparse.ArgumentParser(
        prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workers", type=int, help="number of workers")
    parser.add_argument(
        "job", help="train or attack and its job, or a script such as train/growing.py"
    )
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of the job")
    given = parser.parse_args(words)
    if given.workers < 1:
        parser.error(f"workers must be at least 1. Received: {given.workers}")
    job, options = [given.job], given.options
    if given.job in ("train", "attack"):
        job, options = ["-m", "tfnca", given.job, *options[:1]], options[1:]
    elif not os.path.isfile(given.job):
        parser.error(f"job must be train, attack or an existing script. Received: {given.job}")
    shards = ["--shards", str(given.workers)]  # an option among the job's own comes later and wins
    command = [sys.executable, *job, *shards, *options, "--strategy", "multiworker"]
    addresses = free_addresses(given.workers)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        workers = [start(i, addresses, command, log) for i in range(given.workers)]
        try:
            first, code = wait(workers)
        except KeyboardInterrupt:  # the workers receive it too; the chief writes a snapshot
            first, code = wait(workers)
        if first:
            log.seek(0)
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            print(f"{log.read()[-3000:]}\nworker {first} {how} first", file=sys.stderr)
    sys.exit(code if code >= 0 else 1)
