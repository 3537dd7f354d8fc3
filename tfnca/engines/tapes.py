"""Tapes: what a recorded run keeps for its gradient."""

import itertools
import threading
from collections import OrderedDict

_tapes = OrderedDict()
"""The latest recorded runs. A gradient that finds its run gone records it again."""

_TAPES_KEPT = 8
_tapes_lock = threading.Lock()
_tickets = itertools.count(1)
