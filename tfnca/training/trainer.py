"""The trainer: a Keras model whose training step is the article's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.checks import (
    check_family,
    check_integer,
    check_pool,
    check_seed,
)
from tfnca.automata.step import Step, check_step, warn_of_clipping
from tfnca.deprecated import takes_old_names
from tfnca.engines.dense import uses_xla
from tfnca.engines.fingerprint import Fingerprint, fingerprint
from tfnca.engines.rollout import refuse_forks, resolve_engine, run, run_recorded
from tfnca.training.batch import Batch
from tfnca.training.callbacks import StopAtNonFinite, Validation
from tfnca.training.losses import Loss, PerItem
from tfnca.training.pools import Pool
from tfnca.training.workers import ALONE, Workers, mean_of_shards, shard_seed

_STRIDE = 1 << 14
"""CA steps reserved for each training step in the stream of draws."""

MOST_STEPS = _STRIDE // 2 - 1
"""The most CA steps of a training step: as many may follow once an attack is lifted."""

_FIT = {"callbacks", "initial_epoch", "validation_freq", "verbose"}
"""What `fit` passes to Keras as it is."""


class Trainer(keras.Model):
    """Trains a step: `compile` with an optimiser, `fit` on a pool.

    Each training step takes a batch from the pool, runs the CA, computes the loss of the final
    states, applies the gradients, and writes the final states back; all of it in one graph. What
    is trained is the step's own choice: a base CA, an adversary, or a perturbation's matrix. A
    frozen host gets no gradient and no optimiser slot.

    A loss that is not finite changes nothing: neither the weights nor the pool. The same training
    step is tried again, and after 20 tries `fit` ends with a ValueError.

    As in Keras' own training step, layers are called with ``training=True``, except for those of a
    frozen host, and what regularisers and `add_loss` give is added to the loss, in each CA step
    once; the ``loss`` of the logs is that of the states alone.

    Args:
        step: A `GrowingCA`, `MNISTCA`, `Injected` or `Perturbed`, or any other `Step`.
        loss: A `TargetLoss` or `ClassLoss`, or any function ``loss(state, batch)`` of the final
            states and their `Batch` to ``(batch,)``.
        steps: CA steps per training step: a number, or ``(low, high)`` to draw from, both
            included. Published: 64 to 95 for a Growing CA, 20 for an MNIST CA.
        engine: See `rollout`.
        seed: What all draws depend on, with the number of the training step.
        normalize_gradients: Whether each variable's gradient is divided by its norm.
        recovery_items: How many of a batch, the last, go on as the host alone for as many steps again.
            Their loss, against what the host alone should come to, is added: it should recover
            once the attack is lifted. The pool gets the states from before.
        recovery_loss: Their loss, as `loss`; the batch that it gets has no mask.

    Raises:
        ValueError: If the numbers do not fit each other, the loss is for another family of steps,
            or what is trained is kept in float16, where small changes are lost.

    Example:

    >>> import keras, numpy as np, tfnca
    >>> def loss(state, batch):
    ...     return keras.ops.mean(keras.ops.square(state[..., :4] - 0.5), axis=(1, 2, 3))
    >>> trainer = tfnca.Trainer(tfnca.GrowingCA(), loss, steps=2)
    >>> trainer.compile(optimizer=keras.optimizers.Adam(2e-3))
    >>> pool = tfnca.GrowingPool(tfnca.seed_state(8), size=8)
    >>> history = trainer.fit(pool, epochs=1, steps_per_epoch=1, verbose=0)
    >>> list(history.history)
    ['loss']

    Reference:
        The published training code: Adam, gradients normalised one variable at a time.
    """

    @takes_old_names
    def __init__(
        self,
        step: Step,
        loss: Loss,
        steps: int | tuple[int, int] = (64, 95),
        engine: str = "auto",
        seed: int = 0,
        normalize_gradients: bool = True,
        recovery_items: int = 0,
        recovery_loss: Loss | None = None,
        **kwargs: Any,
    ) -> None:
        check_step(step)
        # Keras scales the loss of a model that computes in float16: this one does where the step
        # does.
        super().__init__(**{"dtype": step.networks[0].dtype_policy} | kwargs)
        low, high = steps if isinstance(steps, Sequence) else (steps, steps)
        if not 0 < low <= high <= MOST_STEPS or low % 1 or high % 1:
            raise ValueError(
                f"steps must be a whole number or a range of them in 1 to {MOST_STEPS}. "
                f"Received: steps={steps}"
            )
        if recovery_items < 0 or (recovery_items and (recovery_loss is None or step.host is None)):
            raise ValueError(
                "recovery_items must not be negative and needs a recovery_loss and a step with a host. "
                f"Received: recovery_items={recovery_items}, recovery_loss={recovery_loss}, step={step}"
            )
        for name, each in (("loss", loss), ("recovery_loss", recovery_loss)):
            if name == "loss" or each is not None:
                PerItem(each, name)  # checks that it can be called
            check_family(name, getattr(each, "family", None), step)
        if any(variable.dtype == "float16" for variable in step.trainable_variables):
            raise ValueError(
                "Weights kept in float16 lose the small changes of training; keep them in float32 "
                "and compute in float16: the policy 'mixed_float16'. Received: float16"
            )
        self.step = step
        self.loss_of_states = loss
        self.steps = (int(low), int(high))
        self._engine_asked_for = engine
        self.engine = resolve_engine(engine, step)
        self.seed = check_seed(seed)
        self.normalize_gradients = normalize_gradients
        self._trained_with: Fingerprint | None = None
        self._evaluated_with: Fingerprint | None = None
        self.pools: list[Pool] = []
        self.shards, self.workers = 1, ALONE
        self.recovery_items = recovery_items
        self.recovery_loss = recovery_loss
        self.supports_jit = uses_xla(self.engine)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        # Not the optimiser's own count: that stands still while gradients are accumulated, begins
        # anew with another optimiser, and is not among the weights that Keras saves.
        self.steps_done = self.add_weight(
            name="steps_done", shape=(), dtype="int64", initializer="zeros", trainable=False
        )
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return [self.loss_tracker]

    def call(self, state: tf.Tensor, **kwargs: Any) -> tf.Tensor:
        """One step of the CA."""
        return self.step(state, **kwargs)

    def compile(
        self, optimizer: str | keras.optimizers.Optimizer = "rmsprop", **kwargs: Any
    ) -> None:
        """Takes the optimiser; the loss is the trainer's own, an argument of `Trainer`.

        Args:
            optimizer: Any of Keras', or a `WhitenedAdam`.
            **kwargs: Those of `keras.Model.compile` that say how to run, such as `run_eagerly`.

        Raises:
            ValueError: If a loss or metrics are given.
        """
        if wrong := {"loss", "loss_weights", "metrics", "weighted_metrics"} & set(kwargs):
            raise ValueError(
                "compile takes the optimiser alone; the loss is an argument of Trainer. "
                f"Received: {', '.join(sorted(wrong))}"
            )
        super().compile(optimizer, **kwargs)
        # At once, so that `load_weights` finds the slots that `save_weights` wrote.
        if not self.optimizer.built:
            self.optimizer.build(self.step.trainable_variables)

    def fit(
        self,
        pool: Pool,
        epochs: int = 1,
        steps_per_epoch: int = 100,
        validation_data: Pool | Batch | np.ndarray | None = None,
        validation_steps: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains on a pool, which makes the batches.

        Args:
            pool: A `GrowingPool` or `DigitPool`.
            epochs: Number of epochs.
            steps_per_epoch: Training steps in an epoch, at least 1.
            validation_data: What `evaluate` runs after each epoch: `val_loss` in the logs.
            validation_steps: CA steps of that.
            **kwargs: `callbacks`, `initial_epoch`, `validation_freq`, `verbose`, as of
                `keras.Model.fit`.

        Returns:
            Keras' `History`.

        Raises:
            ValueError: If the trainer is not compiled, the pool does not fit the step, an argument
                belongs elsewhere, or the loss is not finite 20 times on end.
        """
        if wrong := set(kwargs) - _FIT:
            raise ValueError(
                "fit takes a pool, which makes the batches, and "
                f"{', '.join(sorted(_FIT))}. Received: {', '.join(sorted(wrong))}"
            )
        self.attach(pool)
        epochs = check_integer("epochs", epochs, 0)
        steps_per_epoch = check_integer("steps_per_epoch", steps_per_epoch, 1)
        if validation_steps is not None:
            validation_steps = check_integer("validation_steps", validation_steps, 1, MOST_STEPS)
        callbacks = [StopAtNonFinite(), *keras.tree.flatten(kwargs.pop("callbacks", None) or [])]
        if validation_data is not None:
            every = kwargs.pop("validation_freq", 1)
            callbacks.insert(0, Validation(validation_data, validation_steps, every))
        # The data set only counts: a batch that Keras fetches ahead would be a stale one.
        ticks = tf.data.Dataset.from_tensors(0).repeat()
        return super().fit(
            ticks,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            shuffle=False,
            callbacks=callbacks,
            **kwargs,
        )

    def share(self, shards: int, workers: Workers = ALONE) -> None:
        """Divides training into shards, and the shards among workers.

        Each shard has a pool of its own, which begins as the one given to `fit`, draws of its own,
        and a whole batch in each training step; the gradient is the mean over the shards. The
        result is the same however many workers share them, bit for bit on one kind of processor.

        Args:
            shards: Their number, a multiple of the number of workers.
            workers: Who trains; this process alone if not given.

        Raises:
            ValueError: If the shards do not come out even.
        """
        check_integer("shards", shards, 1)
        if shards % workers.count:
            raise ValueError(
                "The number of shards must be a multiple of the number of workers "
                f"{workers.count}. Received: shards={shards}"
            )
        self.shards, self.workers = shards, workers
        self._trained_with, self.pools = None, []

    def attach(self, pool: Pool) -> None:
        """Takes the pool, as `fit` does first.

        Raises:
            ValueError: If the trainer is not compiled, or the pool does not fit it.
        """
        refuse_forks()
        if not isinstance(pool, Pool):
            raise ValueError(
                "A Trainer learns from a GrowingPool or a DigitPool, which makes the batches: "
                f"fit(pool). Received: {type(pool).__name__}"
            )
        if not self.compiled:
            raise ValueError(
                "Call compile with an optimiser first, such as keras.optimizers.Adam(2e-3). "
                "Received: a trainer that is not compiled"
            )
        check_pool(pool, self.step)
        if self.recovery_items and self.recovery_items > pool.batch_size:
            raise ValueError(
                f"recovery_items must be at most the batch's size {pool.batch_size}. "
                f"Received: recovery_items={self.recovery_items}"
            )
        if not self.pools or self.pool is not pool:
            own = self.shards // self.workers.count
            self.pool: Pool = pool
            self.pools = [pool, *(pool.copy() for _ in range(own - 1))]
        some = pool.variables["states"][: pool.batch_size]
        warn_of_clipping(self.step, tf.convert_to_tensor(getattr(pool, "starts", some)))
        if self.engine == "sparse" and self._engine_asked_for == "auto":
            self.engine = resolve_engine("auto", self.step)
        if self._trained_with != self._constants(*self.pools):
            self.train_function = None  # its graph holds another pool's variables, or old settings

    def _constants(self, *more: Any) -> Fingerprint:
        """All that a graph of this trainer holds as constants."""
        own = self.engine, self.seed, self.steps, self.normalize_gradients, self.recovery_items
        return fingerprint(self.step, self.loss_of_states, self.recovery_loss, own, *more)

    def train_step(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
        """One training step on a batch of the pool; what Keras hands over only counts."""
        index = tf.cast(self.steps_done.value, tf.int64)
        seed = tf.constant(self.seed, tf.int64)
        low, high = self.steps
        steps = tf.random.stateless_uniform([], tf.stack([seed, ~index]), low, high + 1, tf.int32)
        first_shard = self.workers.index * len(self.pools)
        outcomes = [
            self._try(pool, shard_seed(self.seed, first_shard + i), index, steps)
            for i, pool in enumerate(self.pools)
        ]
        means = [outcome[:3] for outcome in outcomes]
        loss, total, gradients = mean_of_shards(means, self.workers)
        ends = [outcome[3:] for outcome in outcomes]
        checked = [total, *(gradient for gradient in gradients if gradient is not None)]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(each)) for each in checked])
        tf.cond(
            finite,
            lambda: self._learn(gradients, ends),
            lambda: self._pass_over(gradients),
        )
        # A branch: NaN among the constants of a sound run would end it under
        # `tf.debugging.enable_check_numerics`.
        shown = tf.cond(finite, lambda: loss, lambda: tf.constant(np.nan, loss.dtype))
        self.loss_tracker.update_state(shown)
        self._trained_with = self._constants(*self.pools)
        return {"loss": self.loss_tracker.result()}

    def _try(self, pool: Pool, seed: int, index: tf.Tensor, steps: tf.Tensor) -> tuple:
        """A shard's loss, the same with what was lifted, its gradients, its batch and states."""
        seed = tf.constant(seed, tf.int64)
        loss_of_states = PerItem(self.loss_of_states)
        batch = pool.draw(seed, index, loss_of_states)
        first, most = index * _STRIDE, self.steps[1]
        with tf.GradientTape() as tape:
            state, added = run_recorded(
                self.step, batch.state, steps, batch.mask, seed, first, 0, self.engine, most
            )
            loss = tf.reduce_mean(loss_of_states(state, batch))
            total = loss
            if self.recovery_loss is not None and self.recovery_items:
                recovery_loss = PerItem(self.recovery_loss, "recovery_loss")
                last = batch.last(self.recovery_items)._replace(mask=None)
                age, start = tf.cast(steps, tf.int64), state[-self.recovery_items :]
                back, _ = run_recorded(
                    self.step.host, start, steps, None, seed, first + age, age, self.engine, most
                )
                total += tf.reduce_sum(recovery_loss(back, last)) / pool.batch_size
            if self.engine == "dense":
                total += added
            for weight in self.step.trainable_variables:
                if weight.regularizer is not None:
                    total += weight.regularizer(weight)
            scaled = self.optimizer.scale_loss(total)
        variables = [variable.value for variable in self.step.trainable_variables]
        return loss, total, tape.gradient(scaled, variables), batch, state

    def _learn(
        self, gradients: list[tf.Tensor | None], ends: list[tuple[Batch, tf.Tensor]]
    ) -> None:
        if self.normalize_gradients:
            # The optimiser takes the scale of the loss off again.
            scale = self.optimizer.scale_loss(tf.ones([]))
            gradients = [
                None if g is None else g / (tf.norm(g) + 1e-8) * tf.cast(scale, g.dtype)
                for g in gradients
            ]
        self.optimizer.apply(gradients, self.step.trainable_variables)
        for pool, (batch, state) in zip(self.pools, ends, strict=True):
            pool.put(batch, state)
        self.steps_done.assign_add(1)

    def _pass_over(self, gradients: list[tf.Tensor | None]) -> None:
        # It makes the scale smaller until gradients are finite again, and changes no weight.
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            self.optimizer.apply(gradients, self.step.trainable_variables)

    def evaluate(
        self,
        states: Pool | Batch | np.ndarray,
        steps: int | None = None,
        return_dict: bool = False,
        verbose: Any = "auto",
    ) -> float | dict[str, float]:
        """The mean loss of a rollout, which changes neither weights nor pool.

        The draws are those of a run that begins at step 0, the same at every call.

        Args:
            states: Where it begins: states ``(batch, height, width, channels)``; a `Batch` with
                `state` and the `mask` or `labels` that step and loss need; or a pool, of which
                every slot is run once, as it is.
            steps: CA steps, in 1 to 8191; the most of a training step if not given.
            return_dict: Whether to return ``{"loss": …}``, as Keras does for its callbacks.
            verbose: Taken as Keras' `evaluate` takes it; nothing is printed.

        Returns:
            The loss, a float.

        Raises:
            ValueError: If the states do not fit the step.
        """
        steps = self.steps[1] if steps is None else check_integer("steps", steps, 1, MOST_STEPS)
        if isinstance(states, Pool):
            check_pool(states, self.step)
            batches = states.batches()
        else:
            batch = states if isinstance(states, Batch) else Batch(state=states)
            batches = iter([batch.checked(self.step)])
        if self._evaluated_with != (constants := self._constants()):
            self._evaluated = tf.function(self._losses_of, autograph=False, reduce_retracing=True)
            self._evaluated_with = constants
        losses = np.concatenate([self._evaluated(b, tf.constant(steps)) for b in batches])
        loss = float(np.mean(losses))
        return {"loss": loss} if return_dict else loss

    def _losses_of(self, batch: Batch, steps: tf.Tensor) -> tf.Tensor:
        seed, first = tf.constant(self.seed, tf.int64), tf.constant(0, tf.int64)
        state = run(self.step, batch.state, steps, batch.mask, seed, first, engine=self.engine)
        losses = PerItem(self.loss_of_states)(state, batch)
        self._evaluated_with = self._constants()
        return losses

    def train_on_batch(self, *_: Any, **__: Any) -> None:
        """Refused: batches come from a pool."""
        raise ValueError(
            "A Trainer makes its batches from a pool: fit(pool, steps_per_epoch=1) is one training "
            "step. Received: a batch"
        )

    def test_on_batch(self, *_: Any, **__: Any) -> None:
        """Refused: `evaluate` does it."""
        raise ValueError("evaluate gives the loss of states or of a pool. Received: a batch")

    def predict(self, *_: Any, **__: Any) -> None:
        """Refused: `tfnca.rollout` does it."""
        raise ValueError(
            "tfnca.rollout(trainer.step, state, steps) runs the CA. Received: a call of predict"
        )

    predict_on_batch = predict

    def save(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Saves what is trained (base, adversary or perturbation), for `tfnca.load`.

        So Keras' `ModelCheckpoint` writes small files without host and pool. The count of training
        steps, which all draws depend on, is in what `save_weights` writes.

        Raises:
            ValueError: If the path does not end in ``.keras``.
        """
        if Path(filepath).suffix != ".keras":
            raise ValueError(
                "A model is saved as a .keras file; save_weights writes .weights.h5, and "
                f"export/ other formats. Received: filepath={str(filepath)!r}"
            )
        keras.saving.save_model(self.step.trained, filepath, overwrite=overwrite, **kwargs)
