"""How a collective can tell whom to believe: which cells lie, and what comes of not listening."""

from typing import TYPE_CHECKING

from tfnca.lazy import lazily

if TYPE_CHECKING:
    from tfnca.defence.detection import roc_auc, watch

__all__ = [
    "roc_auc",
    "watch",
]

if not TYPE_CHECKING:
    _, __getattr__, __dir__ = lazily(
        __name__,
        {
            "detection": "roc_auc watch",
        },
    )
