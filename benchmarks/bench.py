"""Times every engine on the same work and checks that their results agree.

Training: one step of each workload (forward, loss, backward, normalised gradients, Adam) by

  published  the published formulas, a plain dense TensorFlow graph
  dense      tfnca's dense engine
  sparse     tfnca's living-cells engine
  jax, cax, torch  the same formulas in JAX, through CAX's own layers, and in PyTorch

Each runs in its own process, in alternating rounds with the sparse engine. Results are medians,
and ratios compare alternating rounds. Engines that are not installed are left out (install them
with pip install -e '.[bench]'). Then times rollouts, and the time of a step by the size of the grid
and the number of lizards on it. Writes bench.json, report.md and two plots to --out. Run nothing
else meanwhile. On two idle cores it takes about 12 minutes.
"""

import argparse
import contextlib
import importlib.metadata
import itertools
import json
import os
import pickle
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from worker import ENGINES, PEERS

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
WORKLOADS = ("growing_72", "injection_72", "injection_104", "perturbation_72",
             "perturbation_104", "mnist_adversary")  # fmt: skip
PARTS = (*WORKLOADS, "rollout", "scaling")
QUICK = ("growing_72", "mnist_adversary")
CHECKED_STEPS = 8
PATIENCE = 45.0
"""Seconds of measurement after which a slow engine gets fewer rounds."""
TOLERANCES = {"state": 1e-4, "full horizon": 1e-5, "gradient": 1e-2}
"""Allowed errors: of states as a fraction of the dense engine's largest entry, of gradients, which
have length 1, as a distance. Gradients jump where rounding moves a hidden unit across zero, so
their errors may be larger."""

DEVICES = {
    "cpu": {"BENCH_DEVICE": "cpu", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "-1"},
    "gpu": {
        "BENCH_DEVICE": "gpu",
        "JAX_PLATFORMS": "cuda",
        # Several processes share the GPU.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    },
}
"""Environment that selects the device of an engine's process. Living cells run on the CPU."""


class Process:
    """An engine's process. After a failure, `reason` describes it and no more requests are sent."""

    def __init__(self, engine, log, device="cpu", code=None):
        self.engine, self.reason, self.failed = engine, None, False
        if engine == "sparse":
            device = "cpu"
        code = code or Path(__file__).resolve().parent.parent
        self.popen = subprocess.Popen(
            [sys.executable, code / "benchmarks" / "worker.py", engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={
                **os.environ,
                "KERAS_BACKEND": "tensorflow",
                "PYTHONPATH": str(code),
                **DEVICES[device],
            },
        )

    def tell(self, do, **request):
        if self.reason is None:
            with contextlib.suppress(BrokenPipeError):
                print(json.dumps({"do": do, **request}), file=self.popen.stdin, flush=True)

    def answer(self):
        if self.reason is not None:
            return None
        line = self.popen.stdout.readline()
        answer = json.loads(line) if line else {"error": f"ended with code {self.popen.wait()}"}
        self.reason = answer.get("absent") or answer.get("error")
        self.failed = "error" in answer
        return None if self.reason else answer

    def ask(self, do, **request):
        self.tell(do, **request)
        return self.answer()

    def end(self):
        self.popen.kill()
        self.popen.communicate()


@contextlib.contextmanager
def processes(engines, log, device="cpu"):
    """Starts a process for each engine, and ends all of them."""
    started = [Process(engine, log, device) for engine in engines]
    try:
        yield started
    finally:
        for process in started:
            if process.popen.returncode is None:
                process.end()


def time_training(problem, engines, rounds, folder, log, progress, device="cpu"):
    """Times one workload. Returns its results and a list of failures.

    Each engine is measured in turn with the sparse one and ends before the next starts, because an
    idle process keeps gigabytes of freed memory.
    """
    path = folder / "problem.pickle"
    path.write_bytes(pickle.dumps(problem))
    seconds, ratios, memory, found = {e: [] for e in engines}, {}, {}, {}

    def finish(worker):
        memory[worker.engine] = worker.ask("peak")
        out = folder / f"{worker.engine}.pickle"
        if worker.ask("check", steps=CHECKED_STEPS, out=str(out)) is not None:
            found[worker.engine] = pickle.loads(out.read_bytes())
        worker.end()
        progress(done=1)

    with processes(engines, log, device) as workers:
        for worker in workers:
            worker.tell("load", problem=str(path))
        for worker in workers:
            worker.answer()
        sparse = [worker for worker in workers if worker.engine == "sparse"]
        others = [worker for worker in workers if worker.engine != "sparse"]
        for worker in sparse:
            worker.ask("warm")
        for worker in others:
            progress(worker.engine)
            worker.ask("warm")
            times = time_in_turn([worker, *sparse], rounds, progress)
            for engine, values in times.items():
                seconds[engine] += values
            if sparse and times[worker.engine]:
                ratios[worker.engine] = median(times[worker.engine]) / median(times["sparse"])
            finish(worker)
        for worker in sparse:
            if not others:
                seconds |= time_in_turn(sparse, rounds, progress)
            finish(worker)
    errors = [f"{w.engine}: {w.reason}" for w in workers if w.failed]
    checks, wrong = compare(found)
    result = {f"{engine}_s": median(s) if s else None for engine, s in seconds.items()}
    for engine in ("published", "dense"):
        result[f"ratio_{engine}"] = ratios.get(engine)
    result["ratio_best_peer"] = min((r for e, r in ratios.items() if e in PEERS), default=None)
    for name, field in (("peak_rss_mb", "more"), ("absolute_rss_mb", "absolute")):
        result[name] = {e: m[field] for e, m in memory.items() if m}
    left_out = {worker.engine: worker.reason for worker in workers if worker.reason}
    result |= {"rounds": seconds, "left_out": left_out, "checks": checks}
    return result, errors + wrong


def time_in_turn(workers, rounds, progress):
    """Times one training step of each worker per round. Returns ``{engine: seconds}``."""
    seconds = {worker.engine: [] for worker in workers}
    for round_ in range(rounds):
        if round_ >= 2 and sum(map(sum, seconds.values())) > PATIENCE:
            break
        for worker in workers:
            progress(worker.engine)
            if answer := worker.ask("train"):
                seconds[worker.engine].append(answer["seconds"])
    return seconds


def compare(found):
    """Compares every engine's arrays with the dense one's. Returns errors and failures."""
    import numpy as np

    expected = found.pop("dense", {})
    checks, wrong = {engine: {} for engine in found if expected}, []
    for engine, name in itertools.product(checks, expected):
        if name not in found[engine]:
            continue
        difference = found[engine][name] - expected[name]
        kind = "gradient" if name.startswith("gradient") else name
        error = float(
            np.linalg.norm(difference)
            if kind == "gradient"
            else np.abs(difference).max() / np.abs(expected[name]).max()
        )
        checks[engine][name] = error
        if not error <= TOLERANCES[kind]:
            wrong.append(f"{engine}: its {name} differs from the dense engine's by {error:.2g}")
    return checks, wrong


def time_rollouts(cases, rounds, folder, log, progress, device="cpu"):
    """Times rollouts by both engines. Each round runs every case, so that cases compare too.

    Args:
        cases: Dictionary of ``name: (problem, {engine: steps})``.

    Returns:
        Dictionary of ``name: {engine: {"steps", "step_ms", "total_s"}}``.
    """
    results = {name: {} for name in cases}
    with processes(("dense", "sparse"), log, device) as workers:
        by_engine = {worker.engine: worker for worker in workers}
        for name, (problem, steps) in cases.items():
            path = folder / "problem.pickle"
            path.write_bytes(pickle.dumps(problem))
            for engine in steps:
                by_engine[engine].ask("load_rollout", name=name, problem=str(path))
        for _ in range(rounds):
            for name, (_, steps) in cases.items():
                for engine, count in steps.items():
                    progress(f"{name} {engine}")
                    if answer := by_engine[engine].ask("rollout", name=name, steps=count):
                        results[name].setdefault(engine, []).append(answer["seconds"])
            progress(done=1)
        errors = [f"{w.engine}: {w.reason}" for w in workers if w.reason]
    for name, (_, steps) in cases.items():
        for engine, seconds in results[name].items():
            total = median(seconds)
            step_ms = 1000 * total / steps[engine]
            results[name][engine] = {"steps": steps[engine], "step_ms": step_ms, "total_s": total}
    return results, errors


def rollout_cases(problems, weights, digits, quick):
    lizard = problems.rollout_problem(weights, "growing", problems.lizards(weights, 72))
    if quick:
        return {"lizard_72": (lizard, {"dense": 20, "sparse": 100})}
    cases = {"lizard_72": (lizard, {"dense": 200, "sparse": 1000})}
    cases["digits_1000"] = (digits(1000), {"dense": 10, "sparse": 200})
    return cases


def scaling_cases(problems, weights, quick):
    sizes = {72: 200, 128: 100} if quick else {72: 200, 128: 100, 256: 20, 512: 5}
    cases = {}
    for size, dense_steps in sizes.items():
        state = problems.herd(weights, size, 1)
        problem = problems.rollout_problem(weights, "growing", state)
        cases[f"grid_{size}"] = problem, {"dense": dense_steps, "sparse": 1000}
    for count in () if quick else (1, 4, 16, 64):
        problem = problems.rollout_problem(weights, "growing", problems.herd(weights, 512, count))
        cases[f"lizards_{count}"] = problem, {"sparse": 100}
    return cases


def machine():
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    return {"cpu": cpu, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}


def gpu():
    """The GPU's name. This process itself does not use the GPU."""
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        raise ValueError(
            "--device gpu requires a GPU that TensorFlow finds: pip install -e '.[gpu]'. "
            "Received: --device gpu"
        )
    tf.config.set_visible_devices([], "GPU")
    return tf.config.experimental.get_device_details(found[0]).get("device_name", found[0].name)


def versions():
    found = {"python": platform.python_version()}
    for name in ("tensorflow", "keras", "numba", "numpy", "jax", "cax", "torch"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main(options):
    results = {"machine": machine(), "versions": versions()}  # before the benchmark starts
    if options.device == "gpu":
        results["machine"]["gpu"] = gpu()
    import problems
    from report import report, scaling_plot, targets, training_plot
    from tqdm import tqdm

    from tfnca.automata.state import digit_state
    from tfnca.data.digits import load_digits
    from tfnca.files import write_atomically

    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    chosen = options.only or (QUICK if options.quick else PARTS)
    rounds = 1 if options.quick else options.rounds
    weights, errors = problems.Weights(), []
    rates = results["machine"]["product_rates"] = {}
    results |= {"train_step": {}, "rollout": {}, "scaling": {}}
    workloads = [name for name in WORKLOADS if name in chosen]
    bar = tqdm(total=len(workloads) * len(options.engines))

    def digits(count, data_dir=None):
        images = load_digits("test", data_dir, count, source="idx" if data_dir else "sample").images
        return problems.rollout_problem(weights, "mnist", digit_state(images).numpy())

    with (
        tempfile.TemporaryDirectory() as folder,
        open(out / "workers.log", "w", encoding="utf-8") as log,
    ):
        folder = Path(folder)

        def progress(name):
            def show(engine="", done=0):
                bar.set_description(f"{name} {engine}".strip())
                bar.update(done)

            return show

        for name in workloads:
            problem = problems.training(name, weights)
            for how, rate in problems.product_rate().items():
                rates[how] = max(rate, rates.get(how, 0.0))
            result, found = time_training(
                problem, options.engines, rounds, folder, log, progress(name), options.device
            )
            errors += [f"{name}: {error}" for error in found]
            result["floor_flops"] = problems.floor_flops(problem, *problems.count_cells(problem))
            results["train_step"][name] = result
        for result in results["train_step"].values():
            result["floor_s"] = result["floor_flops"] / max(rates.values())
            sparse = result.get("sparse_s")
            result["above_floor"] = sparse / result["floor_s"] if sparse else None
        cases = {}
        if "rollout" in chosen:
            cases["rollout"] = rollout_cases(problems, weights, digits, options.quick)
        if "scaling" in chosen:
            cases["scaling"] = scaling_cases(problems, weights, options.quick)
        for part, of_part in cases.items():
            bar.total += rounds
            results[part], found = time_rollouts(
                of_part, rounds, folder, log, progress(part), options.device
            )
            errors += found
        if "rollout" in chosen and options.data_dir:
            bar.total += 1
            case = {"digits_10000": (digits(10_000, options.data_dir), {"sparse": 200})}
            found, more = time_rollouts(case, 1, folder, log, progress("10,000 digits"))
            results["rollout"] |= found
            errors += more
    bar.close()
    results |= {"weights": weights.sources, "targets": targets(results), "errors": errors}
    write_atomically(out / "bench.json", json.dumps(results, indent=2))
    write_atomically(out / "report.md", report(results))
    if results["train_step"]:
        write_atomically(out / "training.png", training_plot(results["train_step"]))
    if results["scaling"]:
        write_atomically(out / "scaling.png", scaling_plot(results["scaling"]))
    print(report(results))
    return 1 if errors else 0


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", default="out/bench", help="folder for the results (default: out/bench)"
    )
    parser.add_argument(
        "--device",
        choices=DEVICES,
        default="cpu",
        help="device of all engines except living cells, which need a CPU (default: cpu)",
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="measurements per engine (default: 5)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        metavar="PART",
        help=f"parts to time: {', '.join(PARTS)} (default: all)",
    )
    parser.add_argument(
        "--engines",
        nargs="+",
        choices=ENGINES,
        metavar="ENGINE",
        default=ENGINES,
        help="engines of the training workloads (default: all)",
    )
    parser.add_argument(
        "--data-dir",
        help="folder with MNIST's idx files; if given, all 10,000 test digits are timed too",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"one round; without --only, only {', '.join(QUICK)}"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1:
        parser.error(f"--rounds must be at least 1. Received: {options.rounds}")
    return options


if __name__ == "__main__":
    parsed = parse()
    try:
        code = main(parsed)
    except (ValueError, OSError) as problem:
        sys.exit(f"error: {' '.join(str(problem).split())}")
    sys.exit(code)
