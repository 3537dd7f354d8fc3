"""Evidence for the article's claims, measured with a whole set of models."""

import hashlib
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfnca.article.models import ADVERSARIES, MUTATIONS, MissingModelError
from tfnca.automata.injection import Injected
from tfnca.automata.perturbations import combine
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, seed_state
from tfnca.data.digits import load_digits
from tfnca.data.targets import pad_target
from tfnca.engines.rollout import rollout
from tfnca.files import write_atomically
from tfnca.measures.digits import attack_digits
from tfnca.measures.lizard import (
    RUNS,
    grown_states,
    lost_cells,
    measure_drift,
    measure_growing,
    measure_strengths,
    region_picture,
    target_masks,
)
from tfnca.measures.protocol import measure_adversary, measure_base, measure_perturbation

SIZE = (72, 72)
PADDING = 16
STRENGTHS = (1.0, 0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -1.0)
COMPOSITIONS = {"half of each": (0.5, 0.5), "both in full": (1.0, 1.0)}


def _digits(models):
    digits = load_digits("test", count=500, source="sample")
    return attack_digits(Injected(models.digits, models.digits_adversary), digits)


def _lizard(models):
    return measure_base(models.lizard, pad_target(models.target("lizard"), PADDING))


def _perturbations(models):
    plain = pad_target(models.target("lizard"), PADDING)
    found = {}
    for mutation in tqdm(MUTATIONS, leave=False):
        step = Perturbed(models.lizard, models.perturbation(mutation))
        target = pad_target(models.target(mutation), PADDING)
        found[mutation] = measure_perturbation(step, target, plain)
    return found


def _shift(models):
    """A vector on every cell that should remove the tail, trained as the matrices were."""
    plain, target = (pad_target(models.target(name), PADDING) for name in ("lizard", "no_tail"))
    return measure_perturbation(Perturbed(models.lizard, models.shift("no_tail")), target, plain)


def _adversary(models, mutation, density, name=None):
    target = pad_target(models.target(mutation), PADDING)
    step = Injected(models.lizard, models.adversary(name or mutation))
    return measure_adversary(step, target, density)


def _tail_and_region(models):
    """The lizard, the target without a tail, and the allowed cells of the tailless adversaries."""
    plain, target = (pad_target(models.target(name), PADDING) for name in ("lizard", "no_tail"))
    return plain, target, region_picture(models.region("no_tail"), target, plain)


def _tailless(models):
    _, target, region = _tail_and_region(models)
    step = Injected(models.lizard, models.adversary("no_tail"))
    found = measure_adversary(step, target, models.density("no_tail"), region)
    return found | {"region": models.region("no_tail")}


def _red_hosts(models):
    """The fraction of the red lizard's opaque host cells with more red than green at step 500."""
    target = pad_target(models.target("red"), PADDING)
    step = Injected(models.lizard, models.adversary("red"))
    masks = np.asarray(target_masks(target, ADVERSARIES["red"], RUNS, seed=1))
    state = grown_states(models.lizard, SIZE, RUNS, seed=1)
    state = np.asarray(rollout(step, state, 500, mask=masks, seed=1, step_offset=200))
    hosts = (state[..., ALPHA] > LIVING_THRESHOLD) & (masks < 0.5)
    red = state[..., 0] > state[..., 1]
    return {"share": float((red & hosts).sum() / max(hosts.sum(), 1))}


def _tails(models):
    """How much of the tail remains in each run with tailless adversaries."""
    plain, target, region = _tail_and_region(models)
    tail = lost_cells(plain, target)
    step = Injected(models.lizard, models.adversary("no_tail"))
    density = models.density("no_tail")
    masks = target_masks(region, density, RUNS, seed=1)
    state = grown_states(models.lizard, SIZE, RUNS, seed=1)
    state = np.asarray(rollout(step, state, 1500, mask=masks, seed=1, step_offset=200))
    alpha = np.clip(state[..., ALPHA], 0, 1)
    cells = (alpha > LIVING_THRESHOLD).sum((1, 2)) / (target[..., ALPHA] > LIVING_THRESHOLD).sum()
    left, size = alpha[:, tail].mean(1).tolist(), cells.tolist()
    return {"left": left, "size": size, "density": density, "region": models.region("no_tail")}


def _strengths(models):
    tail = lost_cells(
        pad_target(models.target("lizard"), PADDING), pad_target(models.target("no_tail"), PADDING)
    )
    return measure_strengths(models.lizard, models.perturbation("no_tail"), tail, STRENGTHS, seed=1)


def _compositions(models):
    tail, leg = models.perturbation("no_tail"), models.perturbation("no_leg")
    plain, *mutated = [
        pad_target(models.target(name), PADDING) for name in ("lizard", "no_tail", "no_leg")
    ]
    missing = lost_cells(plain, mutated[0]) | lost_cells(plain, mutated[1])
    both = np.where(missing[..., None], 0.0, plain)
    found = {}
    for name, (a, b) in COMPOSITIONS.items():
        step = Perturbed(models.lizard, combine([(tail, a), (leg, b)]))
        seeds = seed_state(SIZE, RUNS)
        found[name] = {
            "errors": measure_growing(step, seeds, both, at=(500, 1000), seed=1),
            "drift": measure_drift(step, seeds, 1000, seed=1),
            "plain": float(np.square(plain - both).mean()),
        }
    return found


EVIDENCE = {
    "digits": _digits,
    "lizard": _lizard,
    "tailless": _tailless,
    "red_60": lambda models: _adversary(models, "red", 0.6),
    "red_60_at_30": lambda models: _adversary(models, "red", 0.3),
    "red_10": lambda models: _adversary(models, "red", 0.1, "red_10"),
    "red_hosts": _red_hosts,
    "tails": _tails,
    "perturbations": _perturbations,
    "shift": _shift,
    "strengths": _strengths,
    "compositions": _compositions,
}


_OF_MODELS = ("*", "*/model.keras", "*/perturbation.npy", "*/config.json")
"""The files that a measure may depend on, in the article's folder or in a folder of our models."""


def _stamp(folder):
    """A short hash of the files of a set of models."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in _OF_MODELS for path in Path(folder).glob(pattern)):
        if path.is_file() and path.suffix != ".md":
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size} ".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def gather(models, cache):
    """Measures all evidence with an `Ours` or `Published`, or reads it from the cache.

    The cache is a folder of JSON files. If any of the models changes, everything is measured again.
    Results that need a missing model are left out.
    """
    found, stamp = {}, _stamp(models.folder)
    for name, measure in tqdm(EVIDENCE.items(), desc=models.name, unit="measure"):
        path = Path(cache) / f"{models.name}_{name}_{stamp}.json"
        if not path.exists():
            try:
                result = measure(models)
            except MissingModelError as error:
                tqdm.write(f"{models.name}, {name}: left out. {error}")
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(result))
        found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found
