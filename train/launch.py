"""Starts several workers on this machine that train one model together.

    python train/launch.py 2 train/growing.py --steps 2000 --out out/growing

Each is a process with a share of the cores. What follows the script's name are its options;
--shards is the number of workers unless it is among them. The first worker shows its progress and
writes the results. If one ends early, all do; the same command with --resume goes on from the last
snapshot, also with another number of workers, as long as --shards stays the same.

On several machines, start the script itself on each, with --strategy multiworker, --shards, and the
environment variable TF_CONFIG as TensorFlow describes it; --out must name one folder for all.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
"""Seconds that the others have to end by themselves once one has failed."""


def free_addresses(count):
    """That many ports of this machine which nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses


def share_of_cores(index, count):
    """The cores of one worker; all of them where there are fewer than workers."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[index::count]) or set(cores)


def start(index, addresses, command, log, quiet=False):
    """Starts one worker; the first, unless quiet, speaks on this terminal, others into a file."""
    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
    output = None if index == 0 and not quiet else log
    cores = share_of_cores(index, len(addresses))
    return subprocess.Popen(
        command,
        env={**os.environ, "TF_CONFIG": json.dumps(task)},
        stdout=output,
        stderr=output,
        preexec_fn=cores and (lambda: os.sched_setaffinity(0, cores)),
    )


def wait(workers):
    """Waits for all; once one has failed, for the others as long as PATIENCE, then ends them."""
    deadline = None
    while any(worker.poll() is None for worker in workers):
        if deadline is None and any(worker.poll() for worker in workers):
            deadline = time.monotonic() + PATIENCE
        if deadline is not None and time.monotonic() > deadline:
            for worker in workers:
                worker.kill()
        time.sleep(0.1)
    return [worker.returncode for worker in workers]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workers", type=int, help="how many")
    parser.add_argument("script", help="a training script, such as train/growing.py")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="options of that script")
    given = parser.parse_args()
    if given.workers < 1:
        parser.error(f"workers must be at least 1. Received: {given.workers}")
    if not os.path.isfile(given.script):
        parser.error(f"there is no such script. Received: {given.script}")
    shards = [] if "--shards" in given.options else ["--shards", str(given.workers)]
    command = [sys.executable, given.script, *given.options, *shards, "--strategy", "multiworker"]
    addresses = free_addresses(given.workers)
    with tempfile.TemporaryFile("w+") as log:
        workers = [start(i, addresses, command, log) for i in range(given.workers)]
        try:
            codes = wait(workers)
        except KeyboardInterrupt:  # each worker got it too, and writes its snapshot
            codes = wait(workers)
        if any(codes[1:]) and not codes[0]:
            log.seek(0)
            print(log.read()[-3000:], file=sys.stderr)
    sys.exit(next((code if code > 0 else 1 for code in codes if code), 0))


if __name__ == "__main__":
    main()
