"""Tapes: the data that a recorded run keeps for its gradient.

A run is recorded only if its caller says that a gradient follows. A tape is discarded after use. If
a gradient needs a discarded tape (because it is requested twice, or after too many others), the run
is recorded again, which takes time but gives the same result.
"""

import itertools
import threading
from collections import OrderedDict
from typing import Any

TAPES_KEPT = 4
"""Largest number of runs that wait for their gradient; a training step has one or two."""

_tapes: OrderedDict[int, Any] = OrderedDict()
_lock = threading.Lock()
_tickets = itertools.count(1)


def keep(tape: Any) -> int:
    """Keeps a tape and discards the oldest beyond `TAPES_KEPT`. Returns its ticket."""
    with _lock:
        ticket = next(_tickets)
        _tapes[ticket] = tape
        while len(_tapes) > TAPES_KEPT:
            _tapes.popitem(last=False)
    return ticket


def take(ticket: int) -> Any | None:
    """The tape of a ticket, which is then no longer kept; None if it was discarded."""
    with _lock:
        return _tapes.pop(int(ticket), None)


def count() -> int:
    """How many tapes are kept."""
    return len(_tapes)
