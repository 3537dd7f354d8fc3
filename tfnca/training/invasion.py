"""The loss of an invasion: a picture, and what each of the adversary's cells costs."""

import numpy as np
import tensorflow as tf
from keras import ops

from tfnca.automata.checks import check_number
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD
from tfnca.training.batch import Batch
from tfnca.training.losses import TargetLoss


class InvasionLoss(TargetLoss):
    """Mean squared error (MSE) of RGBA against a target picture, for an `Invasion`.

    The picture's alpha is the sum of all species' alphas.

    Args:
        target: Premultiplied RGBA ``(height, width, 4)`` in [0, 1], of the grid's size.
        cell_cost: Loss if all cells of the picture belong to adversaries; a part of them costs in
            proportion.
            With 0, adversaries may replace the host; above 0, they must change its cells. A
            negative cost rewards spreading, which the picture alone does not: whose a cell is has
            no gradient.
        adversaries: Number of adversaries.

    Call arguments:
        See `TargetLoss`; a state has the host's channels, then an alpha per adversary.

    Returns:
        One loss per item, ``(batch,)``.

    Raises:
        ValueError: If `target` is not such a picture, or `cell_cost` is not finite.

    Example:

    >>> import numpy as np, tfnca
    >>> step = tfnca.Invasion(tfnca.GrowingCA(), tfnca.GrowingCA())
    >>> state = step.invade(tfnca.seed_state(16), np.ones((1, 16, 16)))
    >>> target = np.ones((16, 16, 4))
    >>> free, dear = (tfnca.InvasionLoss(target, cell_cost=cost)(state) for cost in (0.0, 0.5))
    >>> float((dear - free)[0]).__round__(3)
    0.5
    """

    def __init__(self, target: np.ndarray, cell_cost: float = 0.0, adversaries: int = 1) -> None:
        super().__init__(target)
        self.cell_cost = float(check_number("cell_cost", cell_cost))
        self.adversaries = adversaries

    def __call__(self, state: tf.Tensor, batch: Batch = Batch()) -> tf.Tensor:  # noqa: B008
        # Of the picture's cells only: a reward for others would fill the empty grid.
        inside = self.target[..., ALPHA:] > LIVING_THRESHOLD
        own, host = (
            ops.sum(ops.clip(each, 0.0, 1.0) * inside, axis=(1, 2, 3)) for each in self._of(state)
        )
        return super().__call__(state, batch) + self.cell_cost * own / ops.maximum(own + host, 1.0)

    def _of(self, state: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The adversaries' alphas, and the host's."""
        return state[..., -self.adversaries :], state[..., ALPHA : ALPHA + 1]

    def _cell_errors(self, state: tf.Tensor) -> tf.Tensor:
        own, host = self._of(state)
        alpha = host + ops.sum(own, axis=-1, keepdims=True)
        return super()._cell_errors(ops.concatenate([state[..., :ALPHA], alpha], axis=-1))
