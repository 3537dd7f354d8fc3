"""Exports a step as a SavedModel, a frozen graph that needs only TensorFlow."""

import json
from pathlib import Path

import tensorflow as tf

from tfnca.automata.step import Step
from tfnca.export.signatures import Signatures, metadata
from tfnca.files import replacing

EXTRA = Path("assets.extra") / "tfnca.json"
"""The file with a SavedModel's `metadata`, in the folder that TensorFlow reserves for users."""


def save_saved_model(step: Step, folder: str | Path, measures: dict | None = None) -> None:
    """Writes a step as a SavedModel, for any batch and grid size.

    The SavedModel has three signatures with keyword inputs and the output ``state``:

    - ``step``: ``state``, ``seed``, ``index`` (int64 scalars).
    - ``rollout``: ``state``, ``steps`` (int32), ``seed``, ``first_step`` (int64).
      This is the default signature for serving.
    - ``step_masked``: ``state``, ``fire_mask`` ``(networks, batch, height, width)``, and for a
      rule with noise ``noise`` ``(networks, batch, height, width, changing)``: 19 channels for an
      MNIST CA.

    The signatures of an injection also take ``mask`` ``(batch, height, width)``; those of a rule
    with inputs, ``inputs`` ``(batch, height, width, inputs)``; and those of `n` perturbations,
    their strengths ``k`` ``(n,)``, where 1 is the trained matrix. A seed gives the same draws as in
    `tfnca.rollout`. The loaded object also has the three functions, with the state first:
    ``keras.layers.TFSMLayer(folder, call_endpoint="rollout")(state, steps=200, …)``.

    Args:
        step: Any step.
        folder: The folder to write; an older SavedModel there is replaced.
        measures: See `metadata`; they are written to ``assets.extra/tfnca.json``.

    Raises:
        ValueError: If `folder` contains something else.
        OSError: If it cannot be written; an older SavedModel is kept.
    """
    signatures = Signatures(step)
    module = tf.Module()
    module.variables_of_step = [variable.value for variable in signatures.step.variables]
    served = {}
    for name in signatures.NAMES:
        function = signatures.function(name)
        served[name] = function.get_concrete_function(**signatures.inputs(name))
        setattr(module, name, function)  # for `keras.layers.TFSMLayer`
    served["serving_default"] = served["rollout"]
    with replacing(folder, "saved_model.pb") as temporary:
        try:
            tf.saved_model.save(module, str(temporary), signatures=served)
        except tf.errors.OpError as error:  # TensorFlow raises it for a full disk too
            raise OSError(f"{folder} cannot be written. Received: {error.message}") from error
        (temporary / EXTRA).parent.mkdir()
        about = json.dumps(metadata(step, measures), indent=2) + "\n"
        (temporary / EXTRA).write_text(about, encoding="utf-8")
