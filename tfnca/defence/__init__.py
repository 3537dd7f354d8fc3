"""How a collective can tell whom to believe: which cells lie, and what comes of not listening."""

from tfnca.defence.detection import roc_auc, watch

__all__ = ["roc_auc", "watch"]
