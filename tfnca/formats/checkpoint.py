"""TF2 object checkpoints."""

import math
import re
import tempfile
from pathlib import Path

import tensorflow as tf

from tfnca.formats.archive import check_amount, refusing, some
from tfnca.formats.build import build_ca


def read_checkpoint(where, member, files):
    prefix = member.removesuffix(".index")
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            if re.fullmatch(re.escape(prefix) + r"\.(index|data-\d{5}-of-\d{5})", name):
                Path(folder, f"model{name.removeprefix(prefix)}").write_bytes(data)
        with refusing(where, "TF2 checkpoint", f"{folder}/model"):
            reader = tf.train.load_checkpoint(f"{folder}/model")
            shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        layers = ["dmodel/layer_with_weights-0", "dmodel/layer_with_weights-1"]
        if any(key.startswith("perceive/") for key in shapes):
            layers.insert(0, "perceive/layer_with_weights-0")
        keys = [f"{layer}/{part}{value}" for layer in layers for part in ("kernel", "bias")]
        # What training leaves beside the weights: the object graph, counters, optimiser slots.
        beside = re.compile(r"_CHECKPOINTABLE_OBJECT_GRAPH|save_counter/|optimizer/|.*/\.OPTIMIZER")
        models = {key for key in shapes if dtypes[key] != tf.string and not beside.match(key)}
        if models != set(keys):
            missing, left_over = sorted(set(keys) - models), sorted(models - set(keys))
            raise ValueError(
                f"{where} must hold kernel and bias of {some(layers)}, and no other tensors. "
                f"Received: missing {some(missing)}; left over {some(left_over)}"
            )
        for key in keys:
            if dtypes[key] != tf.float32:
                raise ValueError(f"{where}: {key} must be float32. Received: {dtypes[key].name}")
        check_amount(where, len(keys), 4 * sum(math.prod(shapes[key]) for key in keys))
        with refusing(where, "TF2 checkpoint", f"{folder}/model"):
            tensors = [(key, reader.get_tensor(key)) for key in keys]
    return {"": build_ca(where, tensors)}
