"""Runs one engine in its own process. `bench.py` sends requests to measure over a pipe.

Between requests it waits for input, so that engines measured in turn do not disturb each other. An
engine is a module with ``make(problem, engine)``, which returns two functions. The first does a
training step and returns its loss. The second, ``check(steps)``, returns arrays (the final state,
and gradients divided by their norms) of a run without randomness: every cell fires, without noise.
The problem is a dictionary from `problems.py`.
"""

import contextlib
import importlib
import json
import os
import pickle
import sys
import time
from pathlib import Path

MODULES = {
    "published": "published",
    "dense": "ours",
    "sparse": "ours",
    "jax": "peer_jax",
    "cax": "peer_cax",
    "torch": "peer_torch",
}
ENGINES = tuple(MODULES)
PEERS = ("jax", "cax", "torch")


def memory(field):
    """Resident megabytes of this process now (VmRSS) or at peak (VmHWM); None except on Linux."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def timed(function, *arguments):
    began = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - began


def take_gpu(module):
    """Selects the GPU in a module's framework. Raises ImportError if it finds none."""
    if module == "peer_torch":
        import torch

        found = torch.cuda.is_available()
        if found:
            torch.set_default_device("cuda")
    elif module in ("published", "ours"):
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU")
    else:
        import jax

        try:
            found = jax.devices("cuda")
        except RuntimeError:
            found = []
    if not found:
        raise ImportError("finds no GPU")


class Worker:
    def __init__(self, engine):
        self.engine = engine
        if os.environ.get("BENCH_DEVICE") == "gpu":
            take_gpu(MODULES[engine])
        self.module = importlib.import_module(MODULES[engine])
        self.rollers = {}

    def load(self, problem):
        self.problem = pickle.loads(Path(problem).read_bytes())
        self.train_step, self.check_engine = self.module.make(self.problem, self.engine)

    def load_rollout(self, name, problem):
        loaded = pickle.loads(Path(problem).read_bytes())
        self.rollers[name] = self.module.roller(loaded, self.engine)
        self.rollers[name](1)

    def warm(self):
        """The first step, which traces and compiles. Memory is counted from just before it."""
        self.before = memory("VmRSS")
        self.train_step()
        if self.before is not None:
            Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # resets the peak

    def train(self):
        loss, seconds = timed(self.train_step)
        return {"seconds": seconds, "loss": loss}

    def peak(self):
        most = memory("VmHWM")
        return {"more": None if most is None else most - self.before, "absolute": most}

    def rollout(self, name, steps):
        return {"seconds": timed(lambda: self.rollers[name](steps).numpy())[1]}

    def check(self, steps, out):
        arrays = self.check_engine(steps)
        Path(out).write_bytes(pickle.dumps({k: to_numpy(v) for k, v in arrays.items()}))


def to_numpy(array):
    import numpy as np

    return np.asarray(array.cpu() if hasattr(array, "detach") else array)


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # keeps the output of libraries out of the answers
    with contextlib.suppress(OSError):  # if memory runs out, the kernel ends this process
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    worker = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            worker = worker or Worker(sys.argv[1])
            answer = getattr(worker, request.pop("do"))(**request) or {}
        except ImportError as error:
            answer = {"absent": str(error)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
