"""The trainer: a Keras model whose training step is the article's."""

import functools

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_seed
from tfnca.engines.dense import uses_xla
from tfnca.engines.rollout import resolve_engine, run, settings

_STRIDE = 1 << 14
"""CA steps reserved for each training step in the stream of draws."""


class Trainer(keras.Model):
    """Trains a step: `compile` with an optimiser, `fit` on a pool.

    Each training step takes a batch from the pool, runs the CA, computes the loss of the final
    states, applies the gradients, and writes the final states back; all of it in one graph. What
    is trained is the step's own choice: a base CA, an adversary, or a perturbation's matrix. A
    frozen host gets no gradient and no optimiser slot.

    A loss that is not finite changes nothing: neither the weights nor the pool.

    Args:
        step: A `GrowingCA`, `MNISTCA`, `Injected` or `Perturbed`.
        loss: A `TargetLoss` or `ClassLoss`, or any function of (state, labels, mask) to
            ``(batch,)``; the mask, ``(batch, height, width)``, is None without adversaries.
        steps: CA steps per training step: a number, or ``(low, high)`` to draw from, both
            included. Published: 64 to 95 for a Growing CA, 20 for an MNIST CA.
        engine: See `rollout`.
        seed: What all draws depend on, with the number of the training step.
        normalize_gradients: Whether each variable's gradient is divided by its norm.
        lifted: How many of a batch, the last, go on as the host alone for as many steps again.
            Their loss, against what the host alone should come to, is added: it should recover
            once the attack is lifted. The pool gets the states from before.
        lifted_loss: Their loss, as `loss`.

    Raises:
        ValueError: If the numbers do not fit each other.

    Example:

    >>> import keras, numpy as np, tfnca
    >>> trainer = tfnca.Trainer(tfnca.GrowingCA(), tfnca.TargetLoss(np.zeros((8, 8, 4))), steps=2)
    >>> trainer.compile(optimizer=keras.optimizers.Adam(2e-3))
    >>> pool = tfnca.GrowingPool(tfnca.seed_state(8), size=8)
    >>> history = trainer.fit(pool, epochs=1, steps_per_epoch=1, verbose=0)
    >>> list(history.history)
    ['loss']

    Reference:
        The published training code: Adam, gradients normalised one variable at a time.
    """

    def __init__(
        self,
        step,
        loss,
        steps=(64, 95),
        engine="auto",
        seed=0,
        normalize_gradients=True,
        lifted=0,
        lifted_loss=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        low, high = (steps, steps) if np.isscalar(steps) else steps
        if not 0 < low <= high < _STRIDE // 2:
            raise ValueError(
                f"steps must be a number or a range in 1 to {_STRIDE // 2 - 1}. "
                f"Received: steps={steps}"
            )
        if lifted < 0 or (lifted and (lifted_loss is None or not hasattr(step, "host"))):
            raise ValueError(
                "lifted must not be negative and needs a lifted_loss and a step with a host. "
                f"Received: lifted={lifted}, lifted_loss={lifted_loss}, step={step}"
            )
        self.step = step
        self.loss_of_states = loss
        self.steps = (int(low), int(high))
        self.engine = resolve_engine(engine, step)
        self.seed = check_seed(seed)
        self.normalize_gradients = normalize_gradients
        self.lifted = lifted
        self.lifted_loss = lifted_loss
        self.supports_jit = uses_xla(self.engine)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.built = True

    @property
    def metrics(self):
        return [self.loss_tracker]

    def call(self, state, **kwargs):
        """One step of the CA."""
        return self.step(state, **kwargs)

    def fit(self, pool, epochs=1, steps_per_epoch=100, **kwargs):
        """Trains on a pool; further arguments are those of `keras.Model.fit`.

        Args:
            pool: A `GrowingPool` or `DigitPool`.
            epochs: Number of epochs.
            steps_per_epoch: Training steps in an epoch.
            **kwargs: For instance `callbacks`, `initial_epoch`, `verbose`.

        Returns:
            Keras' `History`.
        """
        self.attach(pool)
        # The data set only counts: a batch that Keras fetches ahead would be a stale one.
        ticks = tf.data.Dataset.from_tensors(0).repeat()
        return super().fit(
            ticks, epochs=epochs, steps_per_epoch=steps_per_epoch, shuffle=False, **kwargs
        )

    def attach(self, pool):
        """Makes the optimiser's slots and takes the pool, as `fit` does first."""
        if self.lifted and self.lifted > pool.batch_size:
            raise ValueError(
                f"lifted must be at most the batch's size {pool.batch_size}. "
                f"Received: lifted={self.lifted}"
            )
        self.optimizer.build(self.step.trainable_variables)
        current = settings(self.step)
        if getattr(self, "pool", None) is not pool or self._settings != current:
            self.pool, self._settings = pool, current
            self.train_function = None  # its graph holds another pool's variables, or old settings

    def train_step(self, data):
        index = tf.cast(self.optimizer.iterations.value, tf.int64)
        seed = tf.constant(self.seed, tf.int64)
        batch = self.pool.draw(seed, index, self.loss_of_states)
        low, high = self.steps
        steps = tf.random.stateless_uniform([], tf.stack([seed, ~index]), low, high + 1, tf.int32)
        first = index * _STRIDE
        go = functools.partial(run, seed=seed, engine=self.engine, record=True)
        with tf.GradientTape() as tape:
            state = go(self.step, batch.state, steps, batch.mask, first_step=first)
            loss = tf.reduce_mean(self.loss_of_states(state, batch.labels, batch.mask))
            total = loss
            if self.lifted:
                last = state[-self.lifted :]
                following = first + tf.cast(steps, tf.int64)
                back = go(self.step.host, last, steps, None, first_step=following)
                labels = None if batch.labels is None else batch.labels[-self.lifted :]
                total += tf.reduce_sum(self.lifted_loss(back, labels)) / self.pool.batch_size
        variables = self.step.trainable_variables
        gradients = tape.gradient(total, [variable.value for variable in variables])
        if self.normalize_gradients:
            gradients = [g / (tf.norm(g) + 1e-8) for g in gradients]
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in [total, *gradients]])
        tf.cond(finite, lambda: self._learn(gradients, batch, state), lambda: None)
        self.loss_tracker.update_state(tf.where(finite, loss, np.nan))
        return {"loss": self.loss_tracker.result()}

    def _learn(self, gradients, batch, state):
        self.optimizer.apply(gradients, self.step.trainable_variables)
        self.pool.put(batch, state)

    def save(self, filepath, overwrite=True, **kwargs):
        """Saves what is trained (base, adversary or perturbation), for `tfnca.load`.

        So Keras' `ModelCheckpoint` writes small files without host and pool.
        """
        keras.saving.save_model(self.step.trained, filepath, overwrite=overwrite, **kwargs)
