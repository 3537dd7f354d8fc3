"""The trainer: a Keras model with the article's training step."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_fits, check_integer, check_pool, check_seed
from tfnca.automata.step import Step, check_step, warn_of_clipping
from tfnca.deprecated import takes_old_names
from tfnca.engines.dense import uses_xla
from tfnca.engines.fingerprint import Fingerprint, fingerprint
from tfnca.engines.rollout import refuse_forks, resolve_engine, run, run_recorded
from tfnca.training.batch import Batch
from tfnca.training.callbacks import StopAtNonFinite, Validation
from tfnca.training.losses import Loss, PerItem
from tfnca.training.model import PoolModel
from tfnca.training.pools import Pool
from tfnca.training.workers import ALONE, Workers, mean_of_shards, shard_seed

_STRIDE = 1 << 14
"""Numbers of the random draws that each training step reserves."""

MOST_STEPS = _STRIDE // 2 - 1
"""Most CA steps of a training step. As many may follow after the attack is removed."""

_FIT = {"callbacks", "initial_epoch", "validation_freq", "verbose"}
"""Arguments that `fit` passes to Keras unchanged."""


class Trainer(PoolModel):
    """Trains a step: `compile` with an optimiser, `fit` on a pool.

    Each training step takes a batch from the pool, runs the CA, computes the loss of the final
    states, applies the gradients, and writes the final states back, all in one graph. The step
    decides which weights are trained: a base CA, an adversary, or a perturbation's matrix. A frozen
    host gets no gradients and no optimiser slots.

    If the loss is not finite, weights and pool stay unchanged and the training step is repeated.
    After 20 attempts `fit` raises a ValueError.

    As in Keras' training step, layers are called with ``training=True``, except for a frozen host.
    Losses from regularisers and `add_loss` are added in each CA step. The ``loss`` in the logs is
    the loss of the states only.

    Args:
        step: Any `Step`: a CA, an `Injected` or a `Perturbed`.
        loss: A `TargetLoss`, a `ClassLoss`, or any function ``loss(state, batch)`` of the final
            states and their `Batch` that returns ``(batch,)``. By default, the task's error.
        task: The `Task` to train for. It gives the loss, and the pool if `fit` gets none.
        steps: CA steps per training step: a number, or ``(low, high)`` to draw from, both
            included. The article: 64 to 95 for a Growing CA, 20 for an MNIST CA.
        engine: See `rollout`.
        seed: Every draw depends only on this and the number of the training step.
        normalize_gradients: Whether to divide each variable's gradient by its norm.
        recovery_items: Number of batch items, the last ones, that continue without the attack, for
            as many steps again. Their `recovery_loss` is added to the loss, so that the host can
            recover after the attack is removed. The pool stores the states from before.
        recovery_loss: The loss of these items, a function like `loss`. Its batch has no mask.

    Raises:
        ValueError: If an argument is out of range, arguments do not fit each other, the loss or the
            task does not fit the step, or trained weights are in float16, which loses small
            changes.

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
        The article's training code: Adam, with the gradient of each variable normalised.
    """

    @takes_old_names
    def __init__(
        self,
        step: Step,
        loss: Loss | None = None,
        steps: int | tuple[int, int] = (64, 95),
        engine: str = "auto",
        seed: int = 0,
        normalize_gradients: bool = True,
        recovery_items: int = 0,
        recovery_loss: Loss | None = None,
        task: Any = None,
        **kwargs: Any,
    ) -> None:
        check_step(step)
        if task is not None:
            check_fits("task", task, step)
            if not (hasattr(task, "error") and hasattr(task, "pool")):
                raise ValueError(f"task must be a tfnca.Task. Received: {type(task).__name__}")
            loss = task.error if loss is None else loss
        # Keras scales the loss of a model that computes in float16, as the step may do.
        super().__init__(**{"dtype": step.networks[0].dtype_policy} | kwargs)
        low, high = steps if isinstance(steps, Sequence) else (steps, steps)
        if not 0 < low <= high <= MOST_STEPS or low % 1 or high % 1:
            raise ValueError(
                f"steps must be a whole number or a range of them in 1 to {MOST_STEPS}. "
                f"Received: steps={steps}"
            )
        if recovery_items < 0 or (recovery_items and (recovery_loss is None or step.host is None)):
            raise ValueError(
                "recovery_items must be 0 or more, and requires a recovery_loss and a step with a "
                f"host. Received: recovery_items={recovery_items}, recovery_loss={recovery_loss}, "
                f"step={step}"
            )
        for name, each in (("loss", loss), ("recovery_loss", recovery_loss)):
            if name == "loss" or each is not None:
                PerItem(each, name)  # checks that it can be called
            check_fits(name, each, step)
        if any(variable.dtype == "float16" for variable in step.trainable_variables):
            raise ValueError(
                "Weights in float16 lose the small changes of training. Keep weights in float32 "
                "and compute in float16, with the policy 'mixed_float16'. Received: float16"
            )
        self.step = step
        self.loss_of_states = loss
        self.task = task
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
        # Not the optimiser's count: it pauses while gradients accumulate, restarts with another
        # optimiser, and Keras does not save it with the weights.
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

    def fit(
        self,
        pool: Pool | None = None,
        epochs: int = 1,
        steps_per_epoch: int = 100,
        validation_data: Pool | Batch | np.ndarray | None = None,
        validation_steps: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Trains on batches from a pool.

        Args:
            pool: A `GrowingPool`, `DigitPool` or other pool. By default, the task's.
            epochs: Number of epochs.
            steps_per_epoch: Training steps in an epoch, at least 1.
            validation_data: Data for `evaluate` after each epoch. The logs then have a `val_loss`.
            validation_steps: CA steps of the validation.
            **kwargs: `callbacks`, `initial_epoch`, `validation_freq` and `verbose`, as in
                `keras.Model.fit`.

        Returns:
            Keras' `History`.

        Raises:
            ValueError: If the trainer is not compiled, the pool does not fit the step, an argument
                is unknown, or the loss is not finite in 20 attempts.
        """
        if wrong := set(kwargs) - _FIT:
            raise ValueError(
                "fit takes a pool, which draws the batches, and "
                f"{', '.join(sorted(_FIT))}. Received: {', '.join(sorted(wrong))}"
            )
        if pool is None and self.task is not None:
            pool = self.pool if self.pools else self.task.pool(self.step, seed=self.seed)
        self.attach(pool)
        epochs = check_integer("epochs", epochs, 0)
        steps_per_epoch = check_integer("steps_per_epoch", steps_per_epoch, 1)
        if validation_steps is not None:
            validation_steps = check_integer("validation_steps", validation_steps, 1, MOST_STEPS)
        callbacks = [StopAtNonFinite(), *keras.tree.flatten(kwargs.pop("callbacks", None) or [])]
        if validation_data is not None:
            every = kwargs.pop("validation_freq", 1)
            callbacks.insert(0, Validation(validation_data, validation_steps, every))
        # The data set only counts steps. A batch that Keras fetches ahead would be outdated.
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

        Each shard has its own pool, which starts as a copy of the one given to `fit`, its own
        draws, and a whole batch in each training step. The gradient is the mean over the shards.
        The result is the same however the shards are divided, bit for bit on one type of processor.

        Args:
            shards: Number of shards, a multiple of the number of workers.
            workers: The processes that train. By default only this one.

        Raises:
            ValueError: If `shards` is not a multiple of the number of workers.
        """
        check_integer("shards", shards, 1)
        if shards % workers.count:
            raise ValueError(
                "The number of shards must be a multiple of the number of workers "
                f"{workers.count}. Received: shards={shards}"
            )
        self.shards, self.workers = shards, workers
        self._trained_with, self.pools = None, []

    def attach(self, pool: Pool | None) -> None:
        """Sets the pool, as `fit` does.

        Raises:
            ValueError: If the trainer is not compiled, or the pool does not fit it.
        """
        refuse_forks()
        if not isinstance(pool, Pool):
            raise ValueError(
                "A Trainer draws its batches from a pool, such as a GrowingPool or a DigitPool: "
                f"fit(pool), or Trainer(step, task=…). Received: {type(pool).__name__}"
            )
        if not self.compiled:
            raise ValueError(
                "Call compile with an optimiser first, for example keras.optimizers.Adam(2e-3). "
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
        """Everything that is a constant in this trainer's graphs."""
        own = self.engine, self.seed, self.steps, self.normalize_gradients, self.recovery_items
        given = self.step, self.loss_of_states, self.recovery_loss, self.task
        return fingerprint(*given, own, *more)

    def train_step(self, data: tf.Tensor) -> dict[str, tf.Tensor]:
        """One training step on a batch of the pool. Keras' `data` is not used."""
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
        # A branch, because `tf.debugging.enable_check_numerics` would reject a constant NaN.
        shown = tf.cond(finite, lambda: loss, lambda: tf.constant(np.nan, loss.dtype))
        self.loss_tracker.update_state(shown)
        self._trained_with = self._constants(*self.pools)
        return {"loss": self.loss_tracker.result()}

    def _try(self, pool: Pool, seed: int, index: tf.Tensor, steps: tf.Tensor) -> tuple:
        """A shard's loss, its total loss, its gradients, its batch and final states."""
        seed = tf.constant(seed, tf.int64)
        loss_of_states = PerItem(self.loss_of_states)
        batch = pool.draw(seed, index, loss_of_states)
        first, most = index * _STRIDE, self.steps[1]
        with tf.GradientTape() as tape:
            of_run = self.engine, most, batch.inputs
            state, added = run_recorded(
                self.step, batch.state, steps, batch.mask, seed, first, 0, *of_run
            )
            loss = tf.reduce_mean(loss_of_states(state, batch))
            total = loss
            if self.recovery_loss is not None and self.recovery_items:
                recovery_loss = PerItem(self.recovery_loss, "recovery_loss")
                last = batch.last(self.recovery_items)._replace(mask=None)
                age, start = tf.cast(steps, tf.int64), state[-self.recovery_items :]
                of_run = self.engine, most, last.inputs
                back, _ = run_recorded(
                    self.step.host, start, steps, None, seed, first + age, age, *of_run
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
            # The optimiser divides by the scale of the loss again.
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
        # Reduces the scale until gradients are finite again, and changes no weight.
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            self.optimizer.apply(gradients, self.step.trainable_variables)

    def evaluate(
        self,
        states: Pool | Batch | np.ndarray,
        steps: int | None = None,
        return_dict: bool = False,
        verbose: Any = "auto",
    ) -> float | dict[str, float]:
        """The mean loss of a rollout. Weights and pool stay unchanged.

        The draws are those of a run that starts at step 0, the same in every call.

        Args:
            states: Initial states: an array ``(batch, height, width, channels)``; a `Batch` with
                `state` and the `mask` or `labels` that step and loss need; or a pool, each slot of
                which is run once.
            steps: CA steps, in 1 to 8191. None: the most of a training step.
            return_dict: Whether to return ``{"loss": …}``, as Keras' callbacks expect.
            verbose: Accepted for Keras, and not used.

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
        losses = np.concatenate(
            [self._evaluated(b, tf.constant(steps), _ranks(b)) for b in batches]
        )
        loss = float(np.mean(losses))
        return {"loss": loss} if return_dict else loss

    def _losses_of(self, batch: Batch, steps: tf.Tensor, ranks: tuple) -> tf.Tensor:
        """The loss of each item, in a graph for each `ranks`.

        TensorFlow would otherwise trace it for any number of axes, once it has seen two different
        ones, and no layer can be called then.
        """
        del ranks
        seed, first = tf.constant(self.seed, tf.int64), tf.constant(0, tf.int64)
        mask, inputs = batch.mask, batch.inputs
        state = run(
            self.step, batch.state, steps, mask, seed, first, engine=self.engine, inputs=inputs
        )
        losses = PerItem(self.loss_of_states)(state, batch)
        self._evaluated_with = self._constants()
        return losses


def _ranks(batch: Batch) -> tuple[int | None, ...]:
    """The number of axes of each of a batch's tensors."""
    return tuple(None if value is None else value.shape.rank for value in batch)
