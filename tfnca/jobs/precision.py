"""The precision while training. Saved files are float32 in any case."""

import contextlib
from collections.abc import Iterator

from tfnca.training.trainer import Trainer


@contextlib.contextmanager
def computing_in(precision: str, trainer: Trainer, engine: str) -> Iterator[None]:
    """Lets a trainer's networks compute in another precision while it trains.

    It is a Keras dtype policy that keeps variables in float32: weights and states stay float32, as
    under Keras' mixed policies. Afterwards every layer has its earlier policy again.

    Raises:
        ValueError: If `engine`, which was asked for, is ``"sparse"`` and the precision is not
            float32.
    """
    if precision == "float32":
        yield
        return
    if engine == "sparse":
        raise ValueError(
            "The sparse engine computes in float32. For another --precision use --engine dense. "
            f"Received: --precision {precision}, --engine {engine}"
        )
    layers = [
        layer
        for network in trainer.step.networks
        for layer in (network, *network._flatten_layers(include_self=False))
    ]
    policies, engine_before = [layer.dtype_policy for layer in layers], trainer.engine
    trainer.engine = "dense"
    try:
        for layer in layers:
            layer.dtype_policy = precision
        yield
    finally:
        for layer, policy in zip(layers, policies, strict=True):
            layer.dtype_policy = policy
        trainer.engine = engine_before
