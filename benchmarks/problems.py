"""The timed workloads: their batches, and the arithmetic that each requires at least."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
from ours import make_step
from threadpoolctl import threadpool_limits

import tfnca
from tfnca.automata.perception import sobel_kernels
from tfnca.automata.randomness import fire_mask
from tfnca.automata.state import ALPHA, is_digit_cell
from tfnca.data.digits import cell_labels, load_digits
from tfnca.formats.load import load, load_perturbation

ROOT = Path(__file__).resolve().parent.parent
GROWN_STEPS = 200
OPAQUE = 0.1
WORKLOADS = {  # kind, padding around the 40-pixel target
    "growing_72": ("growing", 16),
    "injection_72": ("injection", 16),
    "injection_104": ("injection", 32),
    "perturbation_72": ("perturbation", 16),
    "perturbation_104": ("perturbation", 32),
    "mnist_adversary": ("mnist", None),
}
TRAINED = {
    "growing": "host", "injection": "adversary", "perturbation": "matrix", "mnist": "adversary"
}  # fmt: skip


class Weights:
    """The models of the workloads: the article's if their files are present, otherwise our own."""

    def __init__(self):
        originals = Path(os.environ.get("TFNCA_ORIGINALS", ROOT.parent / "shared" / "originals"))
        self.originals, self.sources = originals, {}

    def _load(self, what, *places, loader=load):
        for path, name in places:
            if path.exists():
                self.sources[what] = f"{path.parent.name}/{path.name}"
                return loader(path, name)
        if what.endswith("host"):
            tried = " or ".join(str(path) for path, _ in places)
            raise ValueError(f"The benchmarks require a trained {what}: {tried}")
        self.sources[what] = "substitute: the host's own weights, or the identity"
        return None

    def parts(self, kind):
        """Dictionary of the kernels and biases of ``host`` and ``adversary``, and ``matrix``."""
        models, saved = self.originals, ROOT / "saved_models"
        if kind == "mnist":
            host = self._load(
                "MNIST host",
                (models / "mnist_ca.json", None),
                (saved / "mnist" / "model.keras", None),
            )
            other = self._load("MNIST adversary", (models / "mnist_ca_adversarial_model.zip", None))
        else:
            host = self._load(
                "lizard host",
                (models / "growing_ca_lizard.json", None),
                (saved / "growing_lizard" / "model.keras", None),
            )
        parts = {"host": arrays(host)}
        if kind == "injection":
            zipped = models / "growing_ca_adversarial_models.zip"
            other = self._load("lizard adversary", (zipped, "no_tail_model"))
        if kind in ("mnist", "injection"):
            parts["adversary"] = arrays(other or host)
        if kind == "perturbation":
            zipped = models / "growing_ca_saved_perturbations.zip"
            found = self._load("matrix", (zipped, "tail_sym_t"), loader=load_perturbation)
            found = found or tfnca.MatrixPerturbation()
            parts["matrix"] = [np.array(found.matrix)]
        return parts


def arrays(ca):
    """Weights in the form for every engine: kernels ``(height, width, in, out)``, and biases."""
    values = [np.array(variable) for variable in ca.weights_in_order]
    return [v[None, None] if v.ndim == 2 else v for v in values]


def training(name, weights, batch=8, steps=80):
    """The problem of a training workload: a dictionary of arrays and numbers."""
    kind, padding = WORKLOADS[name]
    problem = {
        "kind": kind,
        "parts": weights.parts(kind),
        "trained": TRAINED[kind],
        "sobel": sobel_kernels(),
        "mask": None,
        "labels": None,
        "steps": steps,
        "fire_rate": 0.5,
        "noise_std": 0.0,
        # Small, so that the last timed step has the same living cells as the first.
        "learning_rate": 1e-6,
    }
    if kind == "mnist":
        digits = load_digits("test", count=2 * batch, source="sample")
        labels = np.full_like(digits.labels, 8)
        shape = digits.images.shape
        problem |= {
            "state": np.array(tfnca.digit_state(digits.images)),
            "target": np.array(cell_labels(digits.images, labels), np.float32),
            "labels": labels,
            "mask": np.array(tfnca.random_mask(np.ones(shape, bool), 0.1, seed=0)),
            "steps": steps // 4,
            "noise_std": 0.02,
        }
        return problem
    target = tfnca.lizard(without=None if kind == "growing" else "tail")
    target = np.array(tfnca.pad_target(target, padding))
    problem |= {"state": lizards(weights, len(target), batch), "target": target}
    if kind == "injection":
        where = np.repeat(target[None, ..., ALPHA] >= OPAQUE, batch, axis=0)
        problem["mask"] = np.array(tfnca.random_mask(where, 0.1, seed=0))
    return problem


def lizards(weights, size, count=1):
    """Grown lizards, ``(count, size, size, 16)``, all different."""
    host = make_step({"kind": "growing", "fire_rate": 0.5, "parts": weights.parts("growing")})
    return np.array(tfnca.rollout(host, tfnca.seed_state(size, count), GROWN_STEPS, seed=0))


def herd(weights, size, count, side=64):
    """Evenly spaced lizards on the square grid of one batch item, ``(1, size, size, 16)``."""
    state = np.zeros((1, size, size, 16), np.float32)
    across = int(np.ceil(np.sqrt(count)))
    crops = lizards(weights, side, count)
    for i, crop in enumerate(crops):
        row, column = ((2 * k + 1) * size // (2 * across) - side // 2 for k in divmod(i, across))
        state[0, row : row + side, column : column + side] = crop
    return state


def rollout_problem(weights, kind, state):
    parts = {"host": weights.parts(kind)["host"]}
    return {"kind": kind, "parts": parts, "state": state, "mask": None, "fire_rate": 0.5}


# ---------------------------------------------------------------------------------------------
# The floor
# ---------------------------------------------------------------------------------------------


def count_cells(problem):
    """Runs a problem once and counts living cells, and for each network those that fire."""
    step = make_step(problem)
    mask, fire_rate = problem["mask"], problem["fire_rate"]
    living, firing = 0, [0] * len(step.networks)
    states = tfnca.trajectory(step, problem["state"], problem["steps"], mask=mask, seed=0)
    for t, state in list(states)[:-1]:
        alive_of = is_digit_cell if problem["kind"] == "mnist" else tfnca.living_mask
        living += int(np.sum(alive_of(state)))
        if problem["kind"] == "perturbation":
            state = step.perturbation(state)
        alive = np.array(alive_of(state))[..., 0]
        for k in range(len(firing)):
            fires = np.array(fire_mask(alive.shape, fire_rate, seed=0, index=t, network=k))[..., 0]
            stands = True if mask is None else mask == k
            firing[k] += int(np.sum(alive & fires & stands))
    return living, firing


def floor_flops(problem, living, firing):
    """Multiplications and additions in the matrix products of one training step.

    The gradient with respect to the inputs takes as many as the forward pass. So does, for a
    trained network, the gradient with respect to its weights.
    """
    total = 0
    for name, cells in zip(("host", "adversary"), firing, strict=False):
        for kernel in problem["parts"][name][::2]:
            passes = 3 if name == problem["trained"] else 2
            total += passes * cells * 2 * kernel.size
    if "matrix" in problem["parts"]:
        total += 3 * living * 2 * problem["parts"]["matrix"][0].size
    return total


def product_rate(rows=4000, repeats=200):
    """This machine's best rate of ``[rows, 48] -> 128 -> 16`` products, in flop/s, all cores.

    Tries TensorFlow, which divides each product among the cores, and NumPy with one thread per
    core, each with its own products.
    """
    random = np.random.default_rng(0)
    x, first, last = (
        random.normal(size=shape).astype(np.float32) for shape in ((rows, 48), (48, 128), (128, 16))
    )
    flops = 2 * rows * (first.size + last.size)

    @tf.function
    def in_tensorflow(x):
        return tf.matmul(tf.matmul(x, first), last)

    def in_numpy(_):
        hidden, out = np.empty((rows, 128), np.float32), np.empty((rows, 16), np.float32)
        for _ in range(10):
            np.dot(x, first, hidden)
            np.dot(hidden, last, out)

    cores = os.cpu_count()
    rates = {"tensorflow": 0.0, "numpy": 0.0}
    in_tensorflow(tensor := tf.constant(x))
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores) as pool:
        for _ in range(repeats // 10):
            began = time.perf_counter()
            for _ in range(10):
                in_tensorflow(tensor)
            between = time.perf_counter()
            list(pool.map(in_numpy, range(cores)))
            ended = time.perf_counter()
            rates["tensorflow"] = max(rates["tensorflow"], 10 * flops / (between - began))
            rates["numpy"] = max(rates["numpy"], 10 * cores * flops / (ended - between))
    return rates
