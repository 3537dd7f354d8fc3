"""Compares the speed of training steps with that of another revision.

Each revision runs `worker.py` in its own process, with its own package and the same pickled
problem: weights, states and masks are equal. Rounds alternate, so that other load on the machine
affects both. Two processes of the same code differ by a few percent for as long as they live, so
several pairs are started. Prints a table of medians and the ratio of each pair. Run nothing else
meanwhile. `against.py HEAD` shows how much of the difference is chance.
"""

import argparse
import contextlib
import os
import pickle
import tempfile
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import problems
from bench import WORKLOADS, Process, machine
from revisions import ROOT, checked_out
from tqdm import tqdm


@contextlib.contextmanager
def started(code, engine, log):
    """A process with a revision's engine. It ends with the context."""
    worker = Process(engine, log, code=code)
    try:
        yield worker
    finally:
        worker.end()


def ask(worker, do, **request):
    """The answer of the process. Raises RuntimeError with its reason if it fails."""
    answer = worker.ask(do, **request)
    if answer is None:
        raise RuntimeError(f"{worker.engine} could not {do}: {worker.reason}")
    return answer


def compare(workers, problem, rounds, progress):
    """Median seconds of a training step, for each of two workers."""
    for worker in workers:
        ask(worker, "load", problem=problem)
        ask(worker, "warm")
    seconds = [], []
    for round_ in range(rounds):
        # The order alternates too, because the first finds the caches as the other left them.
        for which in (0, 1) if round_ % 2 else (1, 0):
            seconds[which].append(ask(workers[which], "train")["seconds"])
        progress()
    return [median(values) for values in seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="git revision to compare the present files with")
    parser.add_argument("--engines", nargs="+", choices=("sparse", "dense"), default=["sparse"])
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument(
        "--pairs", type=int, default=5, help="number of pairs of processes (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=40, help="training steps per process (default: %(default)s)"
    )
    options = parser.parse_args()
    if min(options.pairs, options.rounds) < 1:
        parser.error(
            "--pairs and --rounds must be at least 1. "
            f"Received: {options.pairs} and {options.rounds}"
        )
    weights, rows = problems.Weights(), []
    cases = [(engine, name) for engine in options.engines for name in options.only]
    with (
        checked_out(options.revision) as then,
        tempfile.TemporaryDirectory() as folder,
        open(Path(folder) / "log", "w", encoding="utf-8") as log,
        tqdm(total=len(cases) * options.pairs * options.rounds) as bar,
    ):
        for engine, name in cases:
            bar.set_description(f"{name} {engine}")
            problem = Path(folder) / "problem.pickle"
            problem.write_bytes(pickle.dumps(problems.training(name, weights)))
            pairs = []
            for _ in range(options.pairs):
                with started(then, engine, log) as old, started(ROOT, engine, log) as new:
                    pairs.append(compare((old, new), str(problem), options.rounds, bar.update))
            rows.append((engine, name, pairs))
    print(f"{machine()}; weights: {weights.sources}\n")
    print(f"| engine | workload | {options.revision}, ms | now, ms | now / then | each pair |")
    print("|---|---|---|---|---|---|")
    for engine, name, pairs in rows:
        then, now = (1000 * median(seconds) for seconds in zip(*pairs, strict=True))
        ratios = sorted(new / old for old, new in pairs)
        each = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {engine} | {name} | {then:.0f} | {now:.0f} | {median(ratios):.2f} | {each} |")


if __name__ == "__main__":
    main()
