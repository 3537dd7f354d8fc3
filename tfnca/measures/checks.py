"""Whether a measure is given what it measures: said before any step is run."""

from collections.abc import Iterable, Sequence
from typing import Any

from tfnca.automata.checks import check_integer, check_labels, check_seed
from tfnca.automata.state import NUM_CLASSES
from tfnca.automata.step import MNIST, Step
from tfnca.data.digits import Digits

_FAMILIES = {"growing": "Growing CAs", "mnist": "MNIST CAs"}

ANY, ALONE, ATTACKED, INJECTED, PERTURBED = "any", "alone", "attacked", "injected", "perturbed"
"""What a measure takes: any step, a CA that nobody attacks, or an attack: of any kind, or one."""

_KINDS = {
    ANY: ("a step", lambda step: True),
    ALONE: ("a CA by itself", lambda step: step.host is None),
    ATTACKED: ("an attack (Injected or Perturbed)", lambda step: step.host is not None),
    INJECTED: ("Injected(host, adversary)", lambda step: step.has_adversary),
    PERTURBED: ("Perturbed(host, matrix)", lambda step: step.perturbation is not None),
}


def check_step(step: Any, family: str, kind: str = ANY, name: str = "step") -> None:
    """Raises ValueError unless a step is what a measure is for.

    A step of a user's own that names no family goes with all.

    Args:
        step: What was given.
        family: `GROWING` or `MNIST`.
        kind: `ANY`, `ALONE`, `ATTACKED`, `INJECTED` or `PERTURBED`.
        name: What the message calls it.
    """
    what, holds = _KINDS[kind]
    if isinstance(step, Step) and step.family in ("", family) and holds(step):
        return
    received = type(step).__name__
    if isinstance(step, Step) and step.family:
        received += f" of {_FAMILIES.get(step.family, step.family)}"
    raise ValueError(f"{name} must be {what} of {_FAMILIES[family]}. Received: {received}")


def check_mask_given(step: Step, mask: Any) -> None:
    """Raises ValueError where a step has adversaries and no mask says where they are."""
    if step.has_adversary and mask is None:
        raise ValueError(
            f"{type(step).__name__} has adversaries, so it needs a mask that places them, such as "
            "target_masks gives; without one the host alone would be measured. Received: mask=None"
        )


def check_digits(step: Any, digits: Any, target: int, kind: str = ANY) -> None:
    """Raises ValueError unless a step reads digits, and these are some.

    Args:
        step: What was given.
        digits: `Digits`.
        target: A class.
        kind: See `check_step`.
    """
    check_step(step, MNIST, kind)
    if not isinstance(digits, Digits) or len(digits.labels) == 0:
        raise ValueError(
            f"digits must be `tfnca.Digits`, one at least. Received: {type(digits).__name__}"
        )
    check_labels([target], NUM_CLASSES)


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """Returns seeds as a list; raises ValueError unless there is one at least."""
    given = list(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else []
    if not given:
        raise ValueError(f"seeds must be a list of one seed at least. Received: seeds={seeds!r}")
    return [check_seed(seed) for seed in given]


def check_ascending(at: Sequence[int]) -> None:
    """Raises ValueError unless these are numbers of steps, each after the one before."""
    stops = [check_integer("at", stop, 0) for stop in at]
    if stops != sorted(stops):
        raise ValueError(f"at must ascend. Received: at={at}")
