"""Reads the JSON of texture CAs: many models in a file, with weights as pixels of two PNG pictures.

``model_names`` lists the models. Each of the two ``layers`` has a picture with a tile per model.
Four columns of a matrix are the red, green, blue and alpha of a pixel, and a matrix's last row is
its bias. The rows of the first layer are ordered filter by filter.
"""

import io
from typing import Any

import numpy as np
from PIL import Image

from tfnca.formats.archive import MAX_FILES, Budget, decode_base64, refusing, some, starts_text
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader

_PREFIX = "data:image/png;base64,"
_MIDDLE, _RANGE = 127.0, 255.0


def _is_textures(name: str, data: bytes) -> bool:
    return starts_text(data, b"{") and b'"model_names"' in data and b'"layout"' in data


@reader(_is_textures)
def read(source: Source) -> Models:
    where = source.where
    with refusing(where, "JSON of texture CAs"):
        names = [str(name) for name in source.json["model_names"]]
        layers = [
            _matrices(f"{where}: layer {number}", layer, len(names), source.budget)
            for number, layer in enumerate(source.json["layers"])
        ]
        if len(layers) != 2 or not names:
            raise ValueError(f"it has {len(layers)} layers and {len(names)} models")
        if len(names) > MAX_FILES:
            raise ValueError(f"it holds {len(names)} models, more than {MAX_FILES}")
    every = {name: _arrays(layers, number) for number, name in enumerate(names)}
    if source.name not in every and len(every) > 1:  # building all of them takes long
        source.arrays.update(
            {f"{name}: {part}": array for name in every for part, array in every[name].items()}
        )
        raise ValueError(
            f"{where} holds several models: choose one by its name, {some(sorted(every))}. "
            f"Received: name={source.name!r}"
        )
    name = source.name if source.name in every else names[0]
    return {name: build_foreign(source, every[name], "texture")[""]}


def _arrays(layers: list[np.ndarray], number: int) -> dict[str, np.ndarray]:
    """The kernels and biases of a model."""
    arrays = {}
    for layer, matrices in enumerate(layers):
        arrays[f"layer {layer} kernel"] = matrices[number, :-1]
        arrays[f"layer {layer} bias"] = matrices[number, -1]
    return arrays


def _matrices(where: str, layer: dict[str, Any], count: int, budget: Budget) -> np.ndarray:
    """The matrices of a layer, one for each model, ``(count, rows, columns)``."""
    rows, columns = (int(side) for side in layer["shape"])
    across, down = (int(tiles) for tiles in layer["layout"])
    if min(rows - 1, columns, across, down) < 1 or across * down < count:
        raise ValueError(f"shape {layer['shape']}, layout {layer['layout']} for {count} models")
    kind, text = layer["data"][: len(_PREFIX)], layer["data"][len(_PREFIX) :]
    if kind.lower() != _PREFIX:
        raise ValueError(f"its data begin with {kind!r}")
    with Image.open(io.BytesIO(decode_base64(where, "data", text)), formats=["PNG"]) as image:
        size = across * -(-columns // 4), down * rows
        budget.take(where, 1, 8 * size[0] * size[1])  # the pixels and the arrays made from them
        if image.size != size or image.mode != "RGBA":
            raise ValueError(f"its picture is {image.mode} of {image.size}, not RGBA of {size}")
        pixels = np.asarray(image, np.float32)
    tiles = pixels.reshape(down, rows, across, -1).swapaxes(1, 2)
    tiles = tiles.reshape(across * down, rows, -1)[:count, :, :columns]
    return (tiles - _MIDDLE) / _RANGE * np.float32(layer["scale"])
