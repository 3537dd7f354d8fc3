"""A step: the one idea behind every experiment. It maps a state to the next state."""

import keras
from keras import ops


class Step(keras.layers.Layer):
    """A layer that maps a state to the next state.

    `GrowingCA` and `MNISTCA` are steps; `Injected` and `Perturbed` wrap a frozen step and are
    steps themselves. So one rollout, one trainer, one evaluator and one exporter serve all.

    Call arguments (the same for every step):
        state: Tensor ``(batch, height, width, channels)``.
        mask: Where adversaries stand, ``(batch, height, width)``, 0 or 1; only for a step that
            holds an `Injected`.
        seed: Integer or scalar tensor: what all draws of a run depend on.
        index: Integer or scalar tensor: the step's number in the run.
        fire_mask: Which cells fire, ``(batch, height, width, 1)``, in place of the draw; for a
            step with two networks a pair (host, adversary).
        noise: What is added to the update of an `MNISTCA`, ``(batch, height, width, 19)``, in
            place of the draw; for a step with two networks a pair.

    Returns:
        Tensor of the shape of `state`.
    """

    channels = None
    """Channels of the state that the step works on."""

    def __dir__(self):
        # Keras saves and loads what dir() lists, and these two lead back to the step itself.
        return [name for name in super().__dir__() if name not in ("networks", "trained")]

    @property
    def networks(self):
        """The cellular automata inside, host first."""
        raise NotImplementedError

    @property
    def trained(self):
        """What training changes and what a job saves: the step, or its adversary, or its matrix."""
        return self

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs, mask=None):
        """Keras would carry `mask` on to the next layer; here it says where adversaries stand."""
        return None

    def compute_output_shape(self, state_shape, **kwargs):
        return state_shape


def freeze_copy(step):
    """A frozen copy of a step, so that wrapping leaves the caller's object as it was."""
    copy = type(step).from_config(step.get_config())
    copy.set_weights(step.get_weights())
    # A copy of what is frozen already has inner layers that are not, and Keras passes `trainable`
    # on to them only where it changes.
    copy.trainable = True
    copy.trainable = False
    return copy


def check_channels(state, channels, name):
    """Raises ValueError unless `state` is ``(batch, height, width, channels)``."""
    shape = tuple(state.shape)
    if len(shape) != 4 or shape[-1] != channels:
        raise ValueError(
            f"{name} expects a state of shape (batch, height, width, {channels}). "
            f"Received: shape={shape}"
        )


def check_rate(name, value, low=0.0, high=1.0):
    """Raises ValueError unless `value` is a number in [low, high]."""
    if not low <= value <= high or value == float("inf"):
        raise ValueError(f"{name} must lie in [{low}, {high}]. Received: {name}={value!r}")
    return float(value)


def check_pair(name, given):
    """Returns `given`, or a pair of None; raises ValueError unless it is one for each network."""
    if given is None:
        return None, None
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(
            f"{name} must be a pair, for host and adversary. Received: {type(given).__name__}"
        )
    return given


def grid_shape(state):
    """``(batch, height, width)`` of a state, static where known."""
    return tuple(ops.shape(state)[:3])


def reject_noise(noise, name):
    """Raises ValueError when noise is given to a step that adds none."""
    if noise is not None:
        raise ValueError(f"{name} adds no noise to its update. Received: noise")


def reject_mask(mask, name):
    """Raises ValueError when a mask is given to a step without an adversary."""
    if mask is not None:
        raise ValueError(
            f"{name} has no adversary, so it takes no mask; wrap it: Injected(host, adversary). "
            "Received: a mask"
        )
