"""How a trainer differs from other Keras models, except in `fit` and `evaluate`."""

from pathlib import Path
from typing import Any

import keras

from tfnca.automata.step import Step, copy_from_config


class PoolModel(keras.Model):
    """A Keras model around a step whose batches come from a pool."""

    step: Step

    def compile(
        self, optimizer: str | keras.optimizers.Optimizer = "rmsprop", **kwargs: Any
    ) -> None:
        """Sets the optimiser. The loss is an argument of `Trainer`.

        Args:
            optimizer: Any Keras optimiser, or a `WhitenedAdam`.
            **kwargs: Arguments of `keras.Model.compile` for execution, for example `run_eagerly`.

        Raises:
            ValueError: If a loss or metrics are given.
        """
        if wrong := {"loss", "loss_weights", "metrics", "weighted_metrics"} & set(kwargs):
            raise ValueError(
                "compile takes only the optimiser. The loss is an argument of Trainer. "
                f"Received: {', '.join(sorted(wrong))}"
            )
        super().compile(optimizer, **kwargs)
        # Now, so that `load_weights` finds the slots that `save_weights` wrote.
        if not self.optimizer.built:
            self.optimizer.build(self.step.trainable_variables)

    def train_on_batch(self, *_: Any, **__: Any) -> None:
        """Not supported: batches come from a pool."""
        raise ValueError(
            "A Trainer draws its batches from a pool. For one training step call "
            "fit(pool, steps_per_epoch=1). Received: a batch"
        )

    def test_on_batch(self, *_: Any, **__: Any) -> None:
        """Not supported: use `evaluate`."""
        raise ValueError("Call evaluate for the loss of states or of a pool. Received: a batch")

    def predict(self, *_: Any, **__: Any) -> None:
        """Not supported: use `tfnca.rollout`."""
        raise ValueError(
            "Call tfnca.rollout(trainer.step, state, steps) to run the CA. Received: predict"
        )

    predict_on_batch = predict

    def save(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves the trained part (base, adversary or perturbation) for `tfnca.load`.

        Keras' `ModelCheckpoint` therefore writes small files without host and pool. The number of
        training steps, which all draws depend on, is only in files that `save_weights` writes.

        Raises:
            ValueError: If the path does not end in ``.keras``, or the file would not hold a change
                that was made to a layer, or your own class of an attack.
        """
        if Path(filepath).suffix != ".keras":
            raise ValueError(
                "save writes .keras files. Use save_weights for .weights.h5, and tfnca export for "
                f"other formats. Received: filepath={str(filepath)!r}"
            )
        kind = type(self.step)
        says_what = next(base for base in kind.__mro__ if "trained" in vars(base))
        if self.step.trained is not self.step and _is_ours(says_what) and not _is_ours(kind):
            raise ValueError(
                f"save writes only the trained part, a {type(self.step.trained).__name__}, so the "
                f"file would lose the class {kind.__name__}. Save both with keras.saving.save_model"
                "(trainer.step, filepath), or the part alone with keras.saving.save_model("
                f"trainer.step.trained, filepath). Received: a step of {kind.__module__}"
            )
        if isinstance(self.step.trained, Step):
            copy_from_config(self.step.trained)
        keras.saving.save_model(self.step.trained, filepath, overwrite=overwrite, **kwargs)


def _is_ours(kind: type) -> bool:
    """Whether a class is the package's, and not a user's subclass."""
    return kind.__module__.startswith("tfnca.")
