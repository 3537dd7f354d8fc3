"""What `Trainer.fit` watches for."""

from typing import Any

import keras

from tfnca.automata.checks import check_integer

TRIES = 20
"""How often a training step whose loss is not finite is tried: a loss that is scaled for float16
may need more than ten halvings."""


class StopAtNonFinite(keras.callbacks.Callback):
    """Ends a fit that tries the same training step for ever, with a ValueError."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.done = int(self.model.steps_done)
        self.tries = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        done = int(self.model.steps_done)
        self.tries = 0 if done > self.done else self.tries + 1
        self.done = done
        if self.tries == TRIES:
            raise ValueError(
                f"The loss or a gradient of training step {done + 1} was not finite, {TRIES} times "
                "on end; nothing was changed by it, so it would come for ever. A lower learning "
                "rate or fresh states may help. Received: no finite loss"
            )


class Validation(keras.callbacks.Callback):
    """Puts the loss of a rollout into an epoch's logs, as ``val_loss``.

    Args:
        states: See `Trainer.evaluate`.
        steps: See `Trainer.evaluate`.
        every: Epochs between two of them, or the numbers of the epochs, from 1 on.

    Raises:
        ValueError: If `every` is neither.
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
