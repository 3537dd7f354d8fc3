"""Tapes: what a recorded run keeps for its gradient.

A run is recorded only where its caller says that a gradient follows. A tape is let go with its
use; a gradient that finds it gone (asked for twice, or after too many others) records the run
again, which costs time and changes nothing.
"""

import itertools
import threading
from collections import OrderedDict
from typing import Any

TAPES_KEPT = 4
"""Runs at most that wait for their gradient: a training step has one or two of them."""

_tapes: OrderedDict[int, Any] = OrderedDict()
_lock = threading.Lock()
_tickets = itertools.count(1)


def keep(tape: Any) -> int:
    """Keeps a tape, the oldest beyond `TAPES_KEPT` let go. Returns its ticket."""
    with _lock:
        ticket = next(_tickets)
        _tapes[ticket] = tape
        while len(_tapes) > TAPES_KEPT:
            _tapes.popitem(last=False)
    return ticket


def take(ticket: int) -> Any | None:
    """The tape of a ticket, which is then no longer kept; None if it is gone."""
    with _lock:
        return _tapes.pop(int(ticket), None)


def count() -> int:
    """How many tapes are kept."""
    return len(_tapes)
