"""Defences against adversaries: detecting them, and measuring hosts with and without a defence."""

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
