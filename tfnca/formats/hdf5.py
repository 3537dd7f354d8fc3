"""Reads untrusted HDF5: only data in the file itself, and within the limits."""

import io
import math

import h5py
import numpy as np

from tfnca.formats.archive import MAX_NODES, Budget, refusing


def read_hdf5(where: str, data: bytes, budget: Budget) -> dict[str, np.ndarray]:
    """The arrays of numbers in an HDF5 file, ``{path: array}``.

    Raises:
        ValueError: If the file is broken or too large, or refers to other files.
    """
    with refusing(where, "HDF5 file"), h5py.File(io.BytesIO(data), "r") as file:
        datasets = check_hdf5(where, file, budget)
        for name, dataset in datasets.items():
            if dataset.dtype.kind not in "fiub":
                raise ValueError(f"{name} must hold numbers, found {dataset.dtype}")
        return {name: dataset[()] for name, dataset in datasets.items()}


def check_hdf5(where: str, file: h5py.File, budget: Budget) -> dict[str, h5py.Dataset]:
    """Lists the datasets of an open HDF5 file, without reading them.

    External and virtual datasets and links of any kind are refused, because through them other
    files on this machine would be read as the model's weights.

    Raises:
        ValueError: If there is one of these, or too much data.
    """
    datasets: dict[str, h5py.Dataset] = {}
    pending: list[tuple[str, h5py.Group]] = [("", file)]
    seen = {h5py.h5o.get_info(file.id).addr}
    while pending:
        prefix, group = pending.pop()
        for name in group:
            path = f"{prefix}{name}"
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{path} must be in the file itself, found a link elsewhere")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or len(seen) > MAX_NODES:
                raise ValueError(f"{path} is there twice, or there are more than {MAX_NODES}")
            seen.add(address)
            if isinstance(item, h5py.Group):
                pending.append((f"{path}/", item))
            elif not isinstance(item, h5py.Dataset) or item.shape is None:
                raise ValueError(f"{path} must be an array, found {item}")
            elif item.is_virtual or item.external:
                raise ValueError(f"{path} must be in the file itself, found it in another")
            else:
                datasets[path] = item
    size = sum(math.prod(item.shape) * item.dtype.itemsize for item in datasets.values())
    budget.take(where, len(datasets), size)
    return datasets
