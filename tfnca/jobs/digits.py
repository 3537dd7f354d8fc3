"""What the two jobs on digits share."""

from typing import Any

from tfnca.data.digits import Digits
from tfnca.files import arrays_sha256
from tfnca.jobs.options import Common, in_order

_QUICK = 200
"""Test digits that ``--measure quick`` looks at."""


def check_digits(config: Common) -> None:
    """Raises ValueError where a batch of digits cannot be made up as the options say."""
    in_order(config, "batch_size", "pool_size")
    fresh, mutated, batch_size = (
        getattr(config, name) for name in ("fresh", "mutated", "batch_size")
    )
    if fresh + mutated > batch_size:
        raise ValueError(
            "--fresh and --mutated must sum to at most --batch-size. "
            f"Received: --fresh {fresh}, --mutated {mutated}, --batch-size {batch_size}"
        )


def digit_facts(digits: Digits) -> dict[str, str]:
    """Where a run's digits come from, and what they are."""
    return {
        "source": digits.source,
        "data_dir_sha256": arrays_sha256(digits.images, digits.labels),
    }


def quick_digits(digits: Digits) -> dict[str, Any]:
    """What ``--measure quick`` asks of the measures of digits."""
    return {"digits": digits.first(_QUICK), "seeds": (0,)}
