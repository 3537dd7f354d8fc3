"""Which cells of a neural CA are alive: two rules, as data, and how to apply them to a state."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tfnca.automata.checks import check_integer, check_rate
from tfnca.automata.state import ALPHA, GREY, LIVING_THRESHOLD, living_mask
from tfnca.types import Array


@dataclass(frozen=True)
class Alpha:
    """A cell lives where it or a neighbour has a channel above a threshold; the dead are zero.

    The cell must be alive both before and after a step. Cells grow and die, as in a Growing CA.

    Args:
        channel: The channel that decides.
        threshold: The value that the channel must exceed.
    """

    channel: int = ALPHA
    threshold: float = LIVING_THRESHOLD
    kind: ClassVar[str] = "alpha"

    def living(self, state: Array, padding: str = "zero") -> Array:
        """Boolean tensor ``(batch, height, width, 1)``; a NaN is not above the threshold."""
        return living_mask(state, self.channel, self.threshold, padding)


@dataclass(frozen=True)
class Stroke:
    """A cell lives where a fixed channel is above a threshold; all others keep their state.

    Args:
        channel: The channel that decides; it must be one that never changes.
        threshold: The value that the channel must exceed.
    """

    channel: int = GREY
    threshold: float = LIVING_THRESHOLD
    kind: ClassVar[str] = "stroke"

    def living(self, state: Array, padding: str = "zero") -> Array:
        """Boolean tensor ``(batch, height, width, 1)``; a NaN is not above the threshold."""
        return state[..., self.channel : self.channel + 1] > self.threshold


def alive_config(alive: Alpha | Stroke) -> dict:
    """An alive rule as a JSON-able dictionary."""
    return {"kind": alive.kind, **asdict(alive)}


def check_alive(given: Any, channels: int, fixed: int) -> Alpha | Stroke | None:
    """Returns an alive rule, which may be given as a rule or as its `alive_config`.

    Raises:
        ValueError: If it is neither, or its channel is not allowed.
    """
    if given is None:
        return None
    if isinstance(given, dict):
        values = dict(given)
        kind = {Alpha.kind: Alpha, Stroke.kind: Stroke}.get(values.pop("kind", None))
        given = kind(**values) if kind and set(values) == {"channel", "threshold"} else given
    if not isinstance(given, Alpha | Stroke):
        raise ValueError(
            f"alive must be an Alpha, a Stroke, or None for all cells. Received: alive={given!r}"
        )
    check_rate("alive.threshold", given.threshold, float("-inf"), float("inf"))
    check_integer("alive.channel", given.channel, 0, channels - 1)
    if isinstance(given, Stroke) and given.channel >= fixed:
        raise ValueError(
            "A Stroke's channel must be one of the fixed channels, so that it never changes. "
            f"Received: alive={given!r}, fixed={fixed}"
        )
    return given
