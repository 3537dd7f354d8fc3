"""Checks of a measure's arguments, made before any step is run."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tfnca.automata.checks import check_integer, check_labels, check_seed, reject_mask
from tfnca.automata.state import NUM_CLASSES, no_digits, no_picture
from tfnca.automata.step import Step
from tfnca.data.digits import Digits

PICTURE, DIGITS = no_picture, no_digits
"""What the states of a measured step show: each a function that returns why they do not."""

_SHOWN: dict[Callable, str] = {PICTURE: "a CA of pictures", DIGITS: "a CA of digits"}

ANY, ALONE, ATTACKED, INJECTED, PERTURBED = "any", "alone", "attacked", "injected", "perturbed"
"""What a measure accepts: any step, a CA without an attack, any attack, or one kind of attack."""

_KINDS = {
    ANY: ("a step of {}", lambda step: True),
    ALONE: ("{} without an attack", lambda step: step.host is None),
    ATTACKED: ("an attack (Injected or Perturbed) on {}", lambda step: step.host is not None),
    INJECTED: ("Injected(host, adversary) with {} as host", lambda step: step.has_adversary),
    PERTURBED: (
        "Perturbed(host, perturbation) with {} as host",
        lambda step: step.perturbation is not None,
    ),
}


def check_step(
    step: Any, shows: Callable[[Step], str | None], kind: str = ANY, name: str = "step"
) -> None:
    """Raises ValueError unless a step is of the kind that a measure accepts.

    It must show a `PICTURE` or `DIGITS`, and be `ANY`, `ALONE`, `ATTACKED`, `INJECTED` or
    `PERTURBED`. The message calls it `name`.
    """
    expected, is_kind = _KINDS[kind]
    reason = shows(step) if isinstance(step, Step) else None
    if isinstance(step, Step) and is_kind(step) and not reason:
        return
    received = type(step).__name__ + (f": {reason}" if reason else "")
    raise ValueError(f"{name} must be {expected.format(_SHOWN[shows])}. Received: {received}")


def check_injected(step: Any, can_be: str) -> None:
    """Raises ValueError unless a step has adversaries, which a measure of any task needs."""
    if not getattr(step, "has_adversary", False):
        raise ValueError(
            f"step must be Injected(host, adversary), whose adversaries can be {can_be}. "
            f"Received: {type(step).__name__}"
        )


def check_mask_given(step: Step, mask: Any) -> None:
    """Raises ValueError if a step has adversaries but no mask places them, or the reverse."""
    if not step.has_adversary:
        reject_mask(mask, type(step).__name__)
    if step.has_adversary and mask is None:
        raise ValueError(
            f"{type(step).__name__} has adversaries, so it needs a mask that places them, for "
            "example from target_masks. Without a mask, only the host would be measured. "
            "Received: mask=None"
        )


def check_digits(step: Any, digits: Any, target: int, kind: str = ANY) -> None:
    """Raises ValueError unless a step classifies digits, and there are digits and such a target."""
    check_step(step, DIGITS, kind)
    if not isinstance(digits, Digits) or len(digits.labels) == 0:
        raise ValueError(
            f"digits must be a non-empty `tfnca.Digits`. Received: {type(digits).__name__}"
        )
    check_labels([target], NUM_CLASSES)


def check_seeds(seeds: Iterable[int]) -> list[int]:
    """Returns seeds as a list; raises ValueError if there are none."""
    given = list(seeds) if isinstance(seeds, Iterable) and not isinstance(seeds, str) else []
    if not given:
        raise ValueError(f"seeds must be a list of at least one seed. Received: seeds={seeds!r}")
    return [check_seed(seed) for seed in given]


def check_ascending(at: Sequence[int]) -> None:
    """Raises ValueError unless these are numbers of steps in ascending order."""
    stops = [check_integer("at", stop, 0) for stop in at]
    if stops != sorted(stops):
        raise ValueError(f"at must be in ascending order. Received: at={at}")
