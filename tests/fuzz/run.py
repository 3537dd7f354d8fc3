"""Feeds damaged files to every reader: ``python tests/fuzz/run.py --cases 2000``, or ``make fuzz``.

A reader may read a file, or refuse it by a ValueError. Anything else is a find: another error, a
crash, more than 5 s of processor time, more than 1 GB, a call of pickle or of a program, an opened
file outside the case. Finds are kept in --out, each with all its files. Case number N is always the
same: --first N --cases 1 shows it again.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

SECONDS, MEGABYTES, SILENT = 5, 1000, 60
FORBIDDEN = {"pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen"}
"""Events of Python that mean that a file has had its way."""

_events = {"watched": False, "seen": []}


def watch():
    """Notes `FORBIDDEN` events, and the opening of the file that damage names, in a case."""

    def note(event, arguments):
        if _events["watched"] and (
            event in FORBIDDEN or (event == "open" and str(arguments[0]).startswith("/etc/passwd"))
        ):
            _events["seen"].append(f"{event} {arguments[:2]}")

    sys.addaudithook(note)


def make(number, seed, cases):
    """The files of a case, by path."""
    import numpy as np
    from mutate import mutate
    from readers import unwrapped, wrapped

    random = np.random.default_rng([seed, number])
    case = cases[number % len(cases)]
    files = dict(case.files)
    names = sorted(files)
    name = names[random.integers(len(names))]
    others = [data for other in cases for data in other.files.values()]
    damaged = mutate(unwrapped(case.kind, files[name]), random, others)
    files[name] = wrapped(case.kind, damaged) if random.random() < 0.95 else damaged
    return case, files


def try_case(case, files, folder):
    """What came of it: "read", "refused", or what is wrong."""
    from readers import read

    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    _events.update(watched=True, seen=[])
    try:
        read(case, folder)
        assert not _events["seen"], _events["seen"]
    except ValueError as error:
        lines = str(error).splitlines()
        if _events["seen"]:
            return f"executed: {_events['seen'][:3]}"
        return "refused" if len(lines) == 1 else f"a message of {len(lines)} lines: {lines[:2]}"
    except BaseException as error:
        return "".join(traceback.format_exception(error, limit=-6))
    else:
        return "read"
    finally:
        _events["watched"] = False
        signal.setitimer(signal.ITIMER_PROF, 0)


def out_of_time(*_):
    raise TimeoutError(f"more than {SECONDS} s of processor time")


def work(numbers, seed, out, here, report, kind):
    """Tries cases one after the other; `here` says which one, should it be the last."""
    warnings.simplefilter("ignore")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    signal.signal(signal.SIGPROF, out_of_time)
    resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))  # an error in place of a kill
    from readers import corpus

    cases = corpus(kind)
    watch()
    for case in cases:  # all that is loaded and traced once, before memory is looked at
        with tempfile.TemporaryDirectory() as folder:
            assert try_case(case, case.files, Path(folder)) == "read", case.main
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts, slowest = Counter(), 0.0
    for done, number in enumerate(numbers, 1):
        here.value = number
        case, files = make(number, seed, cases)
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found = try_case(case, files, Path(folder))
        slowest = max(slowest, time.process_time() - began)
        now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if found in ("read", "refused") and now - peak > 1000 * MEGABYTES:
            found = f"{(now - peak) / 1000:.0f} MB"
        peak = max(peak, now)
        counts[case.kind, found if found in ("read", "refused") else "found"] += 1
        if found not in ("read", "refused"):
            keep(out, number, case, files, found)
        if done % 100 == 0:
            report.put((dict(counts), slowest))
            counts.clear()
    here.value = -1
    report.put((dict(counts), slowest))


def keep(out, number, case, files, found):
    folder = out / str(number)
    for name, data in files.items():
        path = folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    about = {"kind": case.kind, "main": case.main, "found": found}
    (folder / "about.json").write_text(json.dumps(about, indent=1))
    print(f"\ncase {number}, {case.kind} {case.main}: {found.strip().splitlines()[-1][:200]}")


class Worker:
    """A process that tries every n-th case; another takes over should it die or hang."""

    def __init__(self, numbers, seed, out, kind):
        self.numbers, self.seed, self.out, self.kind = numbers, seed, out, kind
        self.here = multiprocessing.Value("q", -1)
        self.report = multiprocessing.Queue()
        self.start()

    def start(self):
        arguments = self.numbers, self.seed, self.out, self.here, self.report, self.kind
        self.process = multiprocessing.Process(target=work, args=arguments, daemon=True)
        self.process.start()
        self.seen, self.since = -1, time.monotonic()

    def look(self):
        """Whether it is still at work; a dead or silent process is a find."""
        now = time.monotonic()
        if self.here.value != self.seen:
            self.seen, self.since = self.here.value, now
        silent = self.seen >= 0 and now - self.since > SILENT
        if self.process.is_alive() and not silent:
            return True
        if not silent and self.process.exitcode == 0:
            return False
        self.process.kill()
        self.process.join()
        if self.seen < 0:
            raise SystemExit("A process ended before its first case: see above.")
        from readers import corpus

        case, files = make(self.seen, self.seed, corpus(self.kind))
        keep(self.out, self.seen, case, files, "hangs" if silent else "crashes")
        self.numbers = range(self.seen + self.numbers.step, self.numbers.stop, self.numbers.step)
        self.start()
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kind", help="only this reader, for example foreign")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="folder for finds")
    options = parser.parse_args()
    shutil.rmtree(options.out, ignore_errors=True)
    multiprocessing.set_start_method("spawn")
    last = options.first + options.cases
    workers = [
        Worker(
            range(options.first + k, last, options.processes),
            options.seed,
            options.out,
            options.kind,
        )
        for k in range(options.processes)
    ]
    counts, slowest, began = Counter(), 0.0, time.monotonic()
    shown = began
    while True:
        busy = [worker.look() for worker in workers]
        for worker in workers:
            while not worker.report.empty():
                more, longest = worker.report.get()
                counts.update(more)
                slowest = max(slowest, longest)
        now = time.monotonic()
        if now - shown > 10 or not any(busy):
            print(f"{now - began:.0f} s, {counts.total()} cases", flush=True)
            shown = now
        if not any(busy) or now - began > options.seconds:
            break
        time.sleep(0.2)
    for worker in workers:
        worker.process.kill()
    print("| reader | read | refused | found |\n|---|---|---|---|")
    for kind in sorted({kind for kind, _ in counts}):
        print(
            "|",
            " | ".join([kind, *(str(counts[kind, w]) for w in ("read", "refused", "found"))]),
            "|",
        )
    finds = list(options.out.glob("*/about.json"))
    print(f"{counts.total()} cases, the slowest {slowest:.1f} s; {len(finds)} finds.")
    sys.exit(bool(finds))


if __name__ == "__main__":
    main()
