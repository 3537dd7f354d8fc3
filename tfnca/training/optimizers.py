"""An optimiser for a few parameters that interact, as in a perturbation's matrix."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("tfnca")
class WhitenedAdam(keras.optimizers.Optimizer):
    """Adam with the full second moment of the gradients, of which Adam keeps only the diagonal.

    The mean gradient is multiplied by the inverse square root of that matrix. Steps are then
    equally large in steep and flat directions, even if a direction mixes several parameters. The
    cost of a step grows with the cube of a variable's size. For the 256 numbers of a lizard's
    matrix the rollout takes much longer.

    Args:
        learning_rate: Rate or schedule. As in Adam, each parameter moves about this far in a step.
        beta_1: Momentum of the mean gradient.
        beta_2: Momentum of the second moment.
        damping: Fraction of the mean eigenvalue that is added to each eigenvalue. It limits steps
            in directions that few gradients have.
        **kwargs: Arguments of `keras.optimizers.Optimizer`.

    Example:

    >>> import numpy as np, tfnca
    >>> loss = tfnca.TargetLoss(np.zeros((16, 16, 4)))
    >>> trainer = tfnca.Trainer(tfnca.Perturbed(tfnca.GrowingCA()), loss)
    >>> trainer.compile(tfnca.WhitenedAdam(1e-3, use_ema=True))

    Reference:
        Full-matrix AdaGrad, Duchi et al. 2011, with Adam's moving averages. The article's
        matrices were trained with Adam.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
        beta_1: float = 0.9,
        beta_2: float = 0.995,
        damping: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.damping = beta_1, beta_2, damping

    def build(self, variables: list[keras.Variable]) -> None:
        """Creates the moving averages: the mean gradient and the second moment of each variable."""
        if self.built:
            return
        super().build(variables)
        self._means = self.add_optimizer_variables(variables, "momentum")
        self._moments = []
        for number, variable in enumerate(variables):
            side = int(np.prod(variable.shape))
            self._moments.append(
                self.add_variable((side, side), dtype="float32", name=f"moment_{number}")
            )

    def update_step(
        self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Updates one variable. Computes in float32, whatever the variable's dtype."""
        index = self._get_variable_index(variable)
        mean, moment = self._means[index], self._moments[index]
        gradient, learning_rate = ops.cast(gradient, "float32"), ops.cast(learning_rate, "float32")
        flat = ops.reshape(gradient, (-1,))
        self.assign_add(mean, (gradient - ops.cast(mean, "float32")) * (1 - self.beta_1))
        self.assign_add(moment, (flat[:, None] * flat - moment) * (1 - self.beta_2))
        done = ops.cast(self.iterations + 1, "float32")
        values, vectors = ops.eigh(moment / (1 - self.beta_2**done))
        # Only rounding makes an eigenvalue negative. The last term is for gradients that are zero.
        values = ops.maximum(values, 0.0) + self.damping * ops.mean(values) + 1e-12
        flat_mean = ops.reshape(ops.cast(mean, "float32"), (1, -1))
        along = ops.matmul(flat_mean / (1 - self.beta_1**done), vectors)
        step = ops.matmul(along / ops.sqrt(values), ops.transpose(vectors))
        self.assign_sub(
            variable, ops.cast(learning_rate * ops.reshape(step, variable.shape), variable.dtype)
        )

    def get_config(self) -> dict[str, Any]:
        own = {"beta_1": self.beta_1, "beta_2": self.beta_2, "damping": self.damping}
        return super().get_config() | own
