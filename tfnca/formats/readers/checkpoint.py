"""Reads TF2 object checkpoints: ``X.index`` and ``X.data-0000i-of-0000n``."""

import math
import re
import tempfile
from pathlib import Path

import tensorflow as tf

from tfnca.formats.archive import refusing, some
from tfnca.formats.build import build_ca
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader
from tfnca.formats.tensors import is_beside

_FOOTER = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"
_FILES = r"\.(index|data-\d{5}-of-\d{5})"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_PUBLISHED = re.compile(r"(dmodel|perceive)/layer_with_weights-\d+/")
_ARTICLE = re.compile(r"(dmodel|perceive)/layer(_with_weights)?-\d+/")
"""Names in the article's own checkpoints; those with ``layer-0`` are from TensorFlow 2.0."""


def _index(path: Path) -> Path | None:
    """The index of a checkpoint, by its prefix or any of its files."""
    index = Path(re.sub(f"{_FILES}$", "", str(path)) + ".index")
    return index if index.is_file() else None


@reader(lambda name, data: data.endswith(_FOOTER) or name.endswith(".index"), main_file=_index)
def read(source: Source) -> Models:
    where, prefix = source.where, source.member.removesuffix(".index")
    with tempfile.TemporaryDirectory() as folder:
        for name in source.files:
            if re.fullmatch(re.escape(prefix) + _FILES, name):
                copy = Path(folder, f"model{name.removeprefix(prefix)}")
                copy.write_bytes(source.files[name])
        with refusing(where, "TF2 checkpoint", f"{folder}/model"):
            checkpoint = tf.train.load_checkpoint(f"{folder}/model")
            shapes = checkpoint.get_variable_to_shape_map()
            dtypes = checkpoint.get_variable_to_dtype_map()
        # The object graph is a string; counters are scalars.
        keys = [key for key in shapes if dtypes[key] != tf.string and shapes[key]]
        keys = sorted(key for key in keys if not is_beside(key))
        is_published = any(map(_PUBLISHED.match, keys))
        if is_published:
            keys = _published_keys(where, keys, dtypes)
        size = sum(math.prod(shapes[key]) * dtypes[key].size for key in keys)
        source.budget.take(where, len(keys), size)
        with refusing(where, "TF2 checkpoint", f"{folder}/model"):
            tensors = [(key, checkpoint.get_tensor(key)) for key in keys]
    if is_published and source.is_article:
        return {"": build_ca(where, tensors, source.row_order)}
    arrays = {key.removesuffix(_VALUE): tensor for key, tensor in tensors}
    own = "digits" if any(key.startswith("perceive/") for key in keys) else "growing"
    return build_foreign(source, arrays, own if any(map(_ARTICLE.match, keys)) else None)


def _published_keys(where: str, found: list[str], dtypes: dict[str, tf.DType]) -> list[str]:
    """The keys of kernel, bias, kernel, bias …, if all have the names of the article's files."""
    layers = ["dmodel/layer_with_weights-0", "dmodel/layer_with_weights-1"]
    if any(key.startswith("perceive/") for key in found):
        layers.insert(0, "perceive/layer_with_weights-0")
    keys = [f"{layer}/{part}{_VALUE}" for layer in layers for part in ("kernel", "bias")]
    if set(found) != set(keys):
        missing, left_over = sorted(set(keys) - set(found)), sorted(set(found) - set(keys))
        raise ValueError(
            f"{where} must hold kernel and bias of {some(layers)}, and no other tensors. "
            f"Received: missing {some(missing)}; left over {some(left_over)}"
        )
    for key in keys:
        if dtypes[key] != tf.float32:
            raise ValueError(f"{where}: {key} must be float32. Received: {dtypes[key].name}")
    return keys
