"""Whether training steps became slower since another revision, both timed in turn.

Each revision runs `worker.py` in a process of its own, with its own package and on the same
pickled problem: weights, states and masks are equal. Rounds alternate, so that what else the
machine does meets both. Two processes of the same code differ by a few percent, each for its
whole life, so several pairs are started. Prints a table: medians, and the ratio of each pair.
Nothing else should run meanwhile. What the table is worth says `against.py HEAD`: all of it is
then chance.
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
    """A process of a revision's engine, ended when done."""
    worker = Process(engine, log, code=code)
    try:
        yield worker
    finally:
        worker.end()


def ask(worker, do, **request):
    """What the process answers. Raises RuntimeError with its reason where it can't."""
    answer = worker.ask(do, **request)
    if answer is None:
        raise RuntimeError(f"{worker.engine} could not {do}: {worker.reason}")
    return answer


def compare(workers, problem, rounds, progress):
    """The median seconds of a training step of each of the two workers."""
    for worker in workers:
        ask(worker, "load", problem=problem)
        ask(worker, "warm")
    seconds = [], []
    for round_ in range(rounds):
        # Who is first takes turns too: the first finds the caches as the other left them.
        for which in (0, 1) if round_ % 2 else (1, 0):
            seconds[which].append(ask(workers[which], "train")["seconds"])
        progress()
    return [median(values) for values in seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", help="what to compare the present files with, as git names it")
    parser.add_argument("--engines", nargs="+", choices=("sparse", "dense"), default=["sparse"])
    parser.add_argument("--only", nargs="+", choices=WORKLOADS, default=WORKLOADS)
    parser.add_argument(
        "--pairs", type=int, default=5, help="pairs of processes (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=40, help="training steps of each (default: %(default)s)"
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
