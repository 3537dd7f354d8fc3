"""Frozen graphs: a step as a SavedModel that needs nothing but TensorFlow."""

import json
from pathlib import Path

import tensorflow as tf

from tfnca.automata.step import Step
from tfnca.export.signatures import Signatures, metadata
from tfnca.files import replacing

EXTRA = Path("assets.extra") / "tfnca.json"
"""Where a SavedModel keeps its `metadata`: the folder that TensorFlow leaves to others."""


def save_saved_model(step: Step, folder: str | Path, measures: dict | None = None) -> None:
    """Writes a step as a SavedModel; batch and grid are free.

    Its signatures, each with keyword inputs and the output ``state``:

    - ``step``: ``state``, ``seed``, ``index`` (int64 scalars).
    - ``rollout``: ``state``, ``steps`` (int32), ``seed``, ``first_step`` (int64).
      Also what serving takes by default.
    - ``step_masked``: ``state``, ``fire_mask`` ``(networks, batch, height, width)``, and for a
      rule with noise ``noise`` ``(networks, batch, height, width, changing)``: 19 channels for an
      MNIST CA.

    An injection's take ``mask`` ``(batch, height, width)`` too, those of a rule with inputs
    ``inputs`` ``(batch, height, width, inputs)``, and those of `n` perturbations their strengths
    ``k`` ``(n,)``, 1 for the matrix as it was trained. One seed gives the draws
    that it gives in `tfnca.rollout`. The three are functions of the loaded object too, with the
    state first: ``keras.layers.TFSMLayer(folder, call_endpoint="rollout")(state, steps=200, …)``.

    Args:
        step: Any step.
        folder: Where to write; an older SavedModel there is replaced.
        measures: See `metadata`; they stand in ``assets.extra/tfnca.json``.

    Raises:
        ValueError: If `folder` holds something else.
        OSError: If it cannot be written; an older SavedModel stays then.
    """
    signatures = Signatures(step)
    module = tf.Module()
    module.variables_of_step = [variable.value for variable in signatures.step.variables]
    served = {}
    for name in signatures.NAMES:
        function = signatures.function(name)
        served[name] = function.get_concrete_function(**signatures.inputs(name))
        setattr(module, name, function)  # what a `keras.layers.TFSMLayer` calls
    served["serving_default"] = served["rollout"]
    with replacing(folder, "saved_model.pb") as temporary:
        try:
            tf.saved_model.save(module, str(temporary), signatures=served)
        except tf.errors.OpError as error:  # TensorFlow's own kind, for a full disk too
            raise OSError(f"{folder} cannot be written. Received: {error.message}") from error
        (temporary / EXTRA).parent.mkdir()
        about = json.dumps(metadata(step, measures), indent=2) + "\n"
        (temporary / EXTRA).write_text(about, encoding="utf-8")
