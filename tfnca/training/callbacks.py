"""Callbacks of `Trainer.fit`."""

from typing import Any

import keras

from tfnca.automata.checks import check_integer

TRIES = 20
"""Attempts at a training step whose loss is not finite. A loss that is scaled for float16 may need
more than ten halvings."""


class StopAtNonFinite(keras.callbacks.Callback):
    """Raises ValueError if a training step keeps failing, so that `fit` does not hang."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.done = int(self.model.steps_done)
        self.tries = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        done = int(self.model.steps_done)
        self.tries = 0 if done > self.done else self.tries + 1
        self.done = done
        if self.tries == TRIES:
            raise ValueError(
                f"The loss or a gradient of training step {done + 1} was not finite in {TRIES} "
                "attempts. Weights and pool did not change. Try a lower learning rate or a new "
                "pool. "
                "Received: a loss that is not finite"
            )


class Validation(keras.callbacks.Callback):
    """Adds the loss of a rollout to the logs of an epoch, as ``val_loss``: see `Trainer.evaluate`.

    `every` is the number of epochs between validations, or a list of epochs, counted from 1;
    anything else is a ValueError.
    """

    def __init__(self, states: Any, steps: int | None, every: int | list[int]) -> None:
        super().__init__()
        self.states, self.steps = states, steps
        if isinstance(every, list | tuple):
            self.every: int | list[int] = [check_integer("validation_freq", e, 1) for e in every]
        else:
            self.every = check_integer("validation_freq", every, 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        number = epoch + 1
        due = number % self.every == 0 if isinstance(self.every, int) else number in self.every
        if due and logs is not None:
            logs["val_loss"] = self.model.evaluate(self.states, self.steps)
