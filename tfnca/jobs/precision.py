"""The precision that a training computes in; what it leaves is float32 whatever that was."""

import contextlib
from collections.abc import Iterator

from tfnca.automata.step import Step
from tfnca.training.trainer import Trainer


@contextlib.contextmanager
def computing_in(precision: str, trainer: Trainer, engine: str) -> Iterator[None]:
    """Has a trainer's networks compute in another precision, for as long as it trains.

    Weights and states stay float32, as under Keras' mixed policies.

    Args:
        precision: A Keras dtype policy that keeps variables in float32.
        trainer: A compiled `Trainer`.
        engine: The engine that was asked for: the compiled one is float32.

    Raises:
        ValueError: If the engine is ``"sparse"`` and the precision another than float32.
    """
    if precision == "float32":
        yield
        return
    if engine == "sparse":
        raise ValueError(
            "The sparse engine computes in float32; --precision takes --engine dense. "
            f"Received: --precision {precision}, --engine {engine}"
        )
    before, trainer.engine = trainer.engine, "dense"
    try:
        _set_policy(trainer.step, precision)
        yield
    finally:
        _set_policy(trainer.step, "float32")
        trainer.engine = before


def _set_policy(step: Step, policy: str) -> None:
    for network in step.networks:
        for layer in (network, *network.layers_in_order):
            layer.dtype_policy = policy
