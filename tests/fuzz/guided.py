"""Fuzzing that looks for new ways through the readers' code: ``make fuzz GUIDED=1``.

atheris (extra ``fuzz``) notes which branches of `tfnca.formats`, `tfnca.data` and the snapshots
each file takes, and keeps those that take a new one, in --corpus, to damage them further. The first
find ends it, and is written to the current folder.
"""

import argparse
import dataclasses
import os
import resource
import signal
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with atheris.instrument_imports(
    include=["tfnca.formats", "tfnca.data", "tfnca.training.snapshots"]
):
    from readers import corpus, wrapped

import numpy as np
from mutate import mutate
from run import MEGABYTES, try_case

CASES = corpus()
peak = 0
OTHERS = [data for case in CASES for data in case.files.values()]


def damaged(data, seed):
    """The first two bytes say which case and which of its files; the rest is that file."""
    case = CASES[data[0] % len(CASES)]
    names = sorted(case.files)
    name = names[data[1] % len(names)]
    return case, name, lambda: mutate(data[2:], np.random.default_rng(seed), OTHERS)


def mutator(data, most, seed):
    if len(data) < 2:
        data = bytes([seed % len(CASES), seed >> 8 & 255])
        case, name, _ = damaged(data, seed)
        return (data + case.files[name])[:most]
    _, _, new = damaged(data, seed)
    return (data[:2] + new())[:most]


def one(data):
    if len(data) < 2:
        return
    case, name, _ = damaged(data, 0)
    files = case.files | {name: wrapped(case.kind, data[2:])}
    with tempfile.TemporaryDirectory() as folder:
        found = try_case(dataclasses.replace(case, files=files), files, Path(folder))
    global peak
    before, peak = peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if before and peak - before > 1000 * MEGABYTES:
        found = f"{(peak - before) / 1000:.0f} MB"
    if found not in ("read", "refused"):
        raise RuntimeError(f"{case.kind} {case.main}, {name}: {found}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path, default=Path("out/fuzz-corpus"))
    options = parser.parse_args()
    options.corpus.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("too long")))
    arguments = [f"-max_total_time={options.seconds}", "-max_len=200000", "-rss_limit_mb=8000"]
    arguments += ["-timeout=10", str(options.corpus)]
    atheris.Setup([sys.argv[0], *arguments], one, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
