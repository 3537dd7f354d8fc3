"""Exports models as data files for the article's demo pages."""

import base64
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from keras import ops

from tfnca.automata.injection import Injected
from tfnca.automata.perception import IDENTITY, SOBEL_X
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.presets import PRESETS
from tfnca.automata.state import living_mask
from tfnca.automata.step import Step
from tfnca.export.signatures import strengths
from tfnca.export.tfjs import check_ops, optimised
from tfnca.files import write_atomically
from tfnca.formats.readers.growing_demo import DEMO_PERTURBATIONS


def save_demo(step: Step, folder: str | Path) -> Path:
    """Writes the data file of one of the article's two demo pages.

    An injection of MNIST CAs becomes the ``data.js`` of the page on digits. Six perturbations of a
    Growing CA become the ``gca_data.js`` of the page on the lizard. `tfnca.load` reads both.

    Args:
        step: An `Injected` of MNIST CAs, or a Growing CA in a `tfnca.export.signatures.mix` of six
            matrices, in the page's order: tail, leg, head, arm, red, blue.
        folder: The folder to write to.

    Returns:
        The file's path.

    Raises:
        ValueError: If `step` is something else.
    """
    # The pages run the article's own formulas, so subclasses are refused too.
    is_digits = type(step) is Injected and all(
        type(ca) is PRESETS["digits"] and ca.message_bound is None for ca in step.networks
    )
    is_lizard = (
        type(step) is Perturbed
        and type(step.host) is PRESETS["growing"]
        and len(strengths(step)) == len(DEMO_PERTURBATIONS)
        and all(type(each) is MatrixPerturbation for each in step.perturbation.perturbations)
    )
    if not (is_digits or is_lizard):
        parts = getattr(step.perturbation, "perturbations", ())
        kinds = "".join(f", {type(each).__name__}" for each in parts)
        raise ValueError(
            "The pages show an MNIST adversary with its host, both without a message_bound, or a "
            f"Growing CA with the six perturbations {DEMO_PERTURBATIONS}, each a "
            "MatrixPerturbation. "
            f"Received: {type(step).__name__}{kinds}"
        )
    path = Path(folder) / ("data.js" if is_digits else "gca_data.js")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _digits_data(step) if is_digits else _lizard_data(step))
    return path


def _digits_data(step):
    lines = []
    for variable, ca in (("WEIGHTS_B64", step.host), ("ADV_WEIGHTS_B64", step.adversary)):
        tensors = [np.asarray(weight, "<f4").tobytes() for weight in ca.weights_in_order]
        strings = [base64.b64encode(tensor).decode() for tensor in tensors]
        lines.append(f"window.{variable} = {json.dumps(strings)};\n")
    return "".join(lines)


def _lizard_data(step):
    matrices = [each.to_array().tolist() for each in step.perturbation.perturbations]
    return (
        f"window.GRAPH_URL = URL.createObjectURL(new Blob([`{_demo_graph(step.host)}`], "
        "{type: 'application/json'}));\n"
        f"window.PERTURBATIONS = {json.dumps(matrices)};\n"
    )


def _demo_graph(ca):
    """A Growing CA's graph as JSON, with its weights and with the inputs that the page passes."""

    def step(x, fire_rate, angle, step_size):
        draws = tf.raw_ops.RandomUniform(shape=tf.shape(x[..., :1]), dtype=tf.float32)
        sobel_x, sobel_y = tf.constant(SOBEL_X), tf.constant(SOBEL_X.T)
        cos, sin = tf.cos(angle), tf.sin(angle)
        kernels = [IDENTITY, cos * sobel_x - sin * sobel_y, sin * sobel_x + cos * sobel_y]
        kernels = tf.tile(tf.stack(kernels, -1)[:, :, None], [1, 1, ca.channels, 1])
        update = ops.depthwise_conv(x, kernels, padding="same")
        for layer in ca.update_layers:
            update = layer(update)
        alive = living_mask(x)
        x += step_size * update * tf.cast(draws < fire_rate, tf.float32)
        return {"x": x * tf.cast(tf.logical_and(alive, living_mask(x)), tf.float32)}

    scalars = [tf.TensorSpec([], tf.float32, name) for name in ("fire_rate", "angle", "step_size")]
    graph = optimised(
        tf.function(step).get_concrete_function(
            tf.TensorSpec([None, None, None, ca.channels], tf.float32, "x"), *scalars
        ),
        fuse=False,
    )
    check_ops(graph)
    for node in graph.node:
        if node.op == "Const":
            _spell_out(node.attr["value"].tensor)
    document = {
        "format": "graph-model",
        "modelTopology": json_format.MessageToDict(graph),
        "weightsManifest": [],
    }
    return json.dumps(document, sort_keys=True)


def _spell_out(tensor):
    """Rewrites a constant in the page's form: an array as bytes, a scalar as its value."""
    array = tf.make_ndarray(tensor)
    if array.ndim:
        tensor.ClearField("float_val")
        tensor.ClearField("int_val")
        tensor.tensor_content = array.tobytes()
    elif tensor.dtype == tf.float32.as_datatype_enum:
        tensor.ClearField("tensor_content")
        tensor.float_val[:] = [float(array)]  # TensorFlow omits a zero
