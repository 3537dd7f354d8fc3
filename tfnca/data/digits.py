"""MNIST from tensorflow-datasets, from idx files, or from the bundled sample.

The bundled sample is written by ``make_sample`` from a folder of MNIST's four idx files:
``python -c "from tfnca.data.digits import make_sample; make_sample('FOLDER')"``.
"""

import dataclasses
import gzip
import io
import numbers
import os
import struct
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf
from keras import ops

from tfnca.automata.checks import check_integer, check_labels, check_unit, is_concrete
from tfnca.automata.state import LIVING_THRESHOLD, NUM_CLASSES

_SAMPLE = Path(__file__).parent / "mnist_sample.npz"
_SAMPLE_COUNTS = {"train": 10_000, "test": 1_000}
_FILES = {"train": "train-{}-ubyte", "test": "t10k-{}-ubyte"}
_SIDE = 28
_TEST_DIGITS = 10_000
_PROBE_SECONDS = 2.0
_GZIP = b"\x1f\x8b"

_MAX_BYTES = 2**26
"""The limit for unpacking a compressed file; MNIST's largest file is smaller."""


@dataclasses.dataclass(frozen=True, eq=False)
class Digits:
    """Digits with their labels and their source.

    Attributes:
        images: float32 array ``(count, 28, 28)`` of grey values in [0, 1].
        labels: int32 array ``(count,)`` of 0–9.
        source: ``"idx: …"``, ``"tfds: …"`` or ``"sample: …"``: the origin, the number of digits
            and their split, and for the sample why no other source was available.

    Raises:
        ValueError: If images or labels are not of this form, or their numbers differ.
    """

    images: np.ndarray
    labels: np.ndarray
    source: str

    def __post_init__(self) -> None:
        images = np.asarray(ops.convert_to_numpy(self.images))
        if images.ndim != 3 or images.dtype.kind not in "fiub":
            raise ValueError(
                "images must be numbers of shape (count, height, width). "
                f"Received: {images.dtype} of shape {images.shape}"
            )
        check_unit("images", images)
        labels = np.asarray(ops.convert_to_numpy(self.labels))
        check_labels(labels, NUM_CLASSES)
        if len(images) != len(labels):
            raise ValueError(
                "images and labels must be equally many. "
                f"Received: {len(images)} images and {len(labels)} labels"
            )
        object.__setattr__(self, "images", images.astype(np.float32, copy=False))
        object.__setattr__(self, "labels", labels.astype(np.int32, copy=False))

    def first(self, count: int) -> "Digits":
        """The first `count` digits, or all if there are fewer."""
        count = check_integer("count", count, 1)
        return dataclasses.replace(self, images=self.images[:count], labels=self.labels[:count])


def load_digits(
    split: str,
    data_dir: str | os.PathLike[str] | None = None,
    count: int | None = None,
    source: str | None = None,
    verbose: bool = False,
) -> Digits:
    """Loads MNIST digits from the best source available.

    With a `data_dir`, the digits come from its idx files. Otherwise they come from
    tensorflow-datasets, which downloads MNIST the first time. If the server does not answer within
    two seconds or the download fails, the bundled sample is used: the first 10,000 training and
    the first 1,000 test digits of the idx files.

    tensorflow-datasets shuffles MNIST, but evaluations on the first N test digits mean the first
    N of the idx file. So a part of the test digits is never taken from tensorflow-datasets.

    Args:
        split: ``"train"`` or ``"test"``.
        data_dir: Folder of idx files with their published names (``train-images-idx3-ubyte``,
            ``t10k-labels-idx1-ubyte`` …), with or without ``.gz``, compressed or not. With
            ``source="tfds"``, the data folder of tensorflow-datasets.
        count: Number of digits, from the first on; all digits of the source by default.
        source: ``"idx"``, ``"tfds"`` or ``"sample"``, to require one source.
        verbose: Whether to print the source that was used.

    Returns:
        A `Digits`.

    Raises:
        ValueError: If `split`, `count` or `source` is invalid or contradicts another argument, if
            the source has fewer digits than `count`, if an idx file is missing or damaged, or if
            ``source="tfds"`` and MNIST is neither on disk nor can be downloaded.

    Example:

    >>> digits = load_digits("test", count=500)
    >>> digits.images.shape, digits.source
    ((500, 28, 28), 'sample: first 500 test digits')
    """
    if split not in _FILES:
        raise ValueError(f"split must be 'train' or 'test'. Received: split={split!r}")
    if count is not None and (not isinstance(count, numbers.Integral) or count < 1):
        raise ValueError(f"count must be a positive integer. Received: count={count!r}")
    if source not in (None, "idx", "tfds", "sample"):
        raise ValueError(f"source must be 'idx', 'tfds' or 'sample'. Received: source={source!r}")
    if (source == "idx" and data_dir is None) or (source == "sample" and data_dir is not None):
        raise ValueError(
            "source='idx' needs a data_dir and source='sample' takes none. "
            f"Received: source={source!r}, data_dir={data_dir!r}"
        )
    data_dir = None if data_dir is None else Path(os.path.expanduser(data_dir))
    part_of_test = split == "test" and count is not None and count < _TEST_DIGITS
    if source == "tfds" and part_of_test:
        raise ValueError(
            "tensorflow-datasets shuffles the test digits, so source='tfds' gives only all "
            f"{_TEST_DIGITS} of them. Received: count={count}"
        )

    reason = ""
    if source is None:
        source = "idx" if data_dir is not None else "sample" if part_of_test else None
    if source == "idx" and data_dir is not None:
        images, labels = _read_idx(split, data_dir)
    elif source == "sample":
        images, labels = _read_sample(split)
    else:
        try:
            images, labels = _read_tfds(split, data_dir)
            source = "tfds"
        except ValueError as error:
            if source == "tfds":
                raise
            images, labels = _read_sample(split)
            source, reason = "sample", f" ({error})"

    available = len(images)
    if count is not None and count > available:
        hint = "; MNIST's idx files in a data_dir have all digits" if source == "sample" else ""
        raise ValueError(
            f"count must be at most {available}, the number of {split} digits in source {source!r}"
            f"{reason}{hint}. Received: count={count}"
        )
    images, labels = images[:count], labels[:count]
    which = "shuffled" if source == "tfds" else "first"
    digits = Digits(
        images=images.astype(np.float32) / 255.0,
        labels=labels.astype(np.int32),
        source=f"{source}: {which} {len(images)} {split} digits{reason}",
    )
    if verbose:
        print(f"Digits from {digits.source}", flush=True)
    return digits


def cell_labels(images: np.ndarray | tf.Tensor, labels: np.ndarray | tf.Tensor) -> tf.Tensor:
    """The class that each cell of an MNIST CA should choose, as the target of a loss.

    Args:
        images: Array or tensor ``(batch, height, width)`` of grey values in [0, 1].
        labels: Array or tensor ``(batch,)``: the class that the cells of each image should choose.

    Returns:
        float32 tensor ``(batch, height, width, 10)``: one-hot on living cells, zero elsewhere.

    Raises:
        ValueError: If the numbers of images and labels differ, or a label is not in 0 to 9.

    Example:

    >>> import numpy as np
    >>> np.argwhere(cell_labels(np.eye(2)[None], [8]))
    array([[0, 0, 0, 8],
           [0, 1, 1, 8]])
    """
    # Article: grey >= 0.1; here: grey > 0.1, as in the CA itself, because a dead cell cannot learn
    # a class. On MNIST the two are equal, because no grey value is 0.1 (25/255 < 0.1 < 26/255).
    if is_concrete(labels):
        check_labels(labels, NUM_CLASSES)
    counts = [each.shape[0] if hasattr(each, "shape") else len(each) for each in (images, labels)]
    if None not in counts and counts[0] != counts[1]:
        raise ValueError(
            f"images and labels must be equally many. Received: {counts[0]} and {counts[1]}"
        )
    living = ops.cast(ops.convert_to_tensor(images, "float32") > LIVING_THRESHOLD, "float32")
    one_hot = ops.one_hot(ops.cast(labels, "int32"), NUM_CLASSES, dtype="float32")
    return living[..., None] * one_hot[:, None, None, :]


def make_sample(data_dir: str | os.PathLike[str], path: str | Path = _SAMPLE) -> None:
    """Writes the bundled sample: the first 10,000 training and the first 1,000 test digits.

    They come from a folder of MNIST's four idx files; ValueError if one is missing or damaged.
    """
    # With LZMA, which np.load can read, the file is a sixth smaller than by np.savez_compressed.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        for split, count in _SAMPLE_COUNTS.items():
            arrays = zip(("images", "labels"), _read_idx(split, Path(data_dir)), strict=True)
            for kind, array in arrays:
                # With only a name, the entry would have today's date.
                member = zipfile.ZipInfo(f"{split}_{kind}.npy")
                member.compress_type = archive.compression
                with archive.open(member, "w") as file:
                    np.lib.format.write_array(file, array[:count], allow_pickle=False)


def _read_sample(split: str) -> tuple[np.ndarray, np.ndarray]:
    with np.load(_SAMPLE, allow_pickle=False) as sample:
        return sample[f"{split}_images"], sample[f"{split}_labels"]


def _read_idx(split: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    if not folder.is_dir():
        raise ValueError(f"data_dir must be a folder of idx files. Received: data_dir={folder}")
    name = _FILES[split]
    images = _read_idx_file(folder, name.format("images-idx3"), (_SIDE, _SIDE))
    labels = _read_idx_file(folder, name.format("labels-idx1"), ())
    if len(images) != len(labels):
        raise ValueError(
            f"images and labels must be equally many. Received: {len(images)} images and "
            f"{len(labels)} labels in {folder}, split={split!r}"
        )
    if labels.size and labels.max() >= NUM_CLASSES:
        raise ValueError(f"labels must be in 0 to 9. Received: {labels.max()} in {folder}")
    return images, labels


def _read_idx_file(folder: Path, name: str, item_shape: tuple[int, ...]) -> np.ndarray:
    """The idx file `name` (or `name.gz`) as an array of uint8 items of the given shape.

    Its bytes tell whether it is compressed, because browsers may unpack a file and keep its name.
    """
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise ValueError(f"data_dir must contain {name} or {name}.gz. Received: data_dir={folder}")
    # idx: two zero bytes, 8 for uint8, the number of axes, their sizes as big-endian integers.
    axes = 1 + len(item_shape)
    magic, header = bytes([0, 0, 8, axes]), 4 + 4 * axes
    try:
        data = path.read_bytes()
        if data[:2] == _GZIP or (path.suffix == ".gz" and data[:4] != magic):
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(_MAX_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read. Received: {error}") from error
    if data[:4] != magic:
        raise ValueError(
            f"{path} must start with the magic number {magic.hex()}. Received: {data[:4].hex()!r}"
        )
    if len(data) < header:
        raise ValueError(f"{path} ends within its header. Received: {len(data)} bytes")
    shape = struct.unpack(f">{axes}I", data[4:header])
    if shape[1:] != item_shape:
        raise ValueError(f"{path} must contain items of {item_shape}. Received: {shape[1:]}")
    expected = header + shape[0] * int(np.prod(item_shape))
    if len(data) != expected:
        raise ValueError(
            f"{path} must be {expected} bytes long for its {shape[0]} items. "
            f"Received: {len(data)} bytes"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read_tfds(
    split: str, data_dir: str | os.PathLike[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """MNIST from tensorflow-datasets; raises ValueError within seconds if it is not available."""
    try:
        import tensorflow_datasets as tfds  # takes seconds, and is rarely needed

        builder = tfds.builder("mnist", data_dir=data_dir)
        # `is_prepared` logs a warning if the folder does not exist.
        prepared = Path(builder.data_path).exists() and builder.is_prepared()
        if not prepared:
            _check_answers(f"{builder.URL}t10k-labels-idx1-ubyte.gz")  # 5 kB
        # In batches, because batch_size=-1 aborts the whole process on mocked data.
        batches = tfds.load("mnist", split=split, data_dir=data_dir, batch_size=1000)
        images, labels = zip(
            *((batch["image"][..., 0], batch["label"]) for batch in tfds.as_numpy(batches)),
            strict=True,
        )
    except Exception as error:  # whatever fails, MNIST is not available
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"tensorflow-datasets cannot provide MNIST: {first_line}") from error
    return np.concatenate(images), np.concatenate(labels)


def _check_answers(url: str) -> None:
    """Raises ConnectionError unless `url` answers within two seconds.

    tensorflow-datasets itself sets no time-out. A thread is needed because a socket's time-out does
    not cover a name server that does not answer.
    """
    import requests  # as tensorflow-datasets: same proxies, same certificates

    outcome: list[str | None] = [f"no answer within {_PROBE_SECONDS:g} s"]

    def probe() -> None:
        try:
            requests.get(url, timeout=_PROBE_SECONDS).raise_for_status()
            outcome[0] = None
        except Exception as error:  # the thread must not print a traceback
            outcome[0] = type(error).__name__

    thread = threading.Thread(target=probe, daemon=True)
    thread.start()
    thread.join(_PROBE_SECONDS)
    if outcome[0]:
        raise ConnectionError(f"{url}: {outcome[0]}")
