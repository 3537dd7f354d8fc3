"""Exports a step to LiteRT or ONNX with Keras' own exporters."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from tfnca.automata.step import Step
from tfnca.export.signatures import Signatures, metadata, mixed, rules, stored_weights, strengths
from tfnca.files import writing
from tfnca.formats.described import METADATA_KEY, has_described_networks, in_keras_order
from tfnca.types import Array

FORMATS = {".tflite": "litert", ".onnx": "onnx"}


class _Masked(keras.layers.Layer):
    """The signature ``step_masked`` as a layer."""

    def __init__(self, signatures: Signatures, names: Sequence[str]) -> None:
        super().__init__(name="step_masked")
        self.names = names
        self.signatures = signatures
        self.step = signatures.step

    def call(self, inputs: Any) -> Array:
        return self.signatures.step_masked(**dict(zip(self.names, inputs, strict=True)))["state"]


def save_portable(step: Step, path: str | Path) -> None:
    """Writes a step for LiteRT (``.tflite``) or ONNX (``.onnx``), for any batch and grid size.

    The inputs are those of the signature ``step_masked`` of `save_saved_model`. The only output is
    the next state. An ONNX file also contains the rule, and `tfnca.load` reads it.

    Args:
        step: Any step.
        path: The file to write; its ending selects the format.

    Raises:
        ValueError: If the ending is unknown, if LiteRT cannot run the step without TensorFlow, or
            if a package that writes the format is missing.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"The file must end with one of {list(FORMATS)}. Received: {path}")
    signatures = Signatures(step)
    specs = signatures.state | signatures.draws | signatures.given
    inputs = [keras.Input(batch_shape=spec.shape, name=name) for name, spec in specs.items()]
    model = keras.Model(inputs, _Masked(signatures, list(specs))(inputs))
    model(inputs)  # Keras' ONNX exporter refuses a model that has never been called
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as temporary:
        try:
            model.export(temporary, format=FORMATS[path.suffix], verbose=False)
        except ImportError as error:
            raise ValueError(
                "This format needs more packages: pip install 'tfnca[export]', or in a clone "
                f"pip install '.[export]'. Received: {error}"
            ) from None
        if path.suffix == ".onnx" and has_described_networks(step) and not strengths(mixed(step)):
            _describe(step, temporary)
        borrowed = re.search(rb"Flex\w+", temporary.read_bytes())
        if path.suffix == ".tflite" and borrowed:
            raise ValueError(
                "A step for LiteRT must use only LiteRT's own operations. "
                f"Received: {borrowed[0].decode()} in {type(step).__name__}"
            )


def _describe(step: Step, path: Path) -> None:
    """Writes a step's metadata into an ONNX file, so that `tfnca.load` reads it with its rule."""
    import onnx  # part of tfnca[export], and needed only here

    model = onnx.load_model(path)
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    if names := stored_weights(step, in_keras_order(arrays)):
        about = metadata(step) | {"rules": rules(step), "weights": names}
        onnx.helper.set_model_props(model, {METADATA_KEY: json.dumps(about)})
        onnx.save_model(model, path)
