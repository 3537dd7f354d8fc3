"""Digits: every source, the fall-backs between them, and the errors."""

import collections
import contextlib
import functools
import gzip
import hashlib
import http.server
import os
import re
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfnca
from tfnca.data import digits
from tfnca.data.digits import cell_labels, load_digits, make_sample

MNIST = Path(os.environ.get("TFNCA_MNIST", Path(__file__).parents[3] / "shared" / "mnist"))
needs_mnist = pytest.mark.skipif(
    not (MNIST / "train-images-idx3-ubyte.gz").is_file(),
    reason="MNIST's idx files are absent (set TFNCA_MNIST to their folder)",
)
NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
COUNTS = {"train": 60, "test": 20}


@functools.cache
def sample(split):
    return digits._read_sample(split)


def idx_bytes(array):
    shape = array.shape
    return struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape) + array.tobytes()


def write_idx(folder, compress=False):
    """Both splits' idx files, of the sample's first digits."""
    for split, names in NAMES.items():
        for name, array in zip(names, sample(split), strict=True):
            data = idx_bytes(array[: COUNTS[split]])
            path = folder / (f"{name}.gz" if compress else name)
            path.write_bytes(gzip.compress(data) if compress else data)
    return folder


def as_set(images, labels):
    return collections.Counter(
        (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
    )


@contextlib.contextmanager
def serving(folder):
    """The folder's files on a local web server; yields its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=folder)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def tfds_from(monkeypatch, tmp_path):
    """A function that lets tensorflow-datasets download from an address, to a fresh folder."""
    from tensorflow_datasets.core import constants
    from tensorflow_datasets.image_classification import mnist

    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(constants, "DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", COUNTS["train"])
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", COUNTS["test"])

    return lambda url: monkeypatch.setattr(mnist.MNIST, "URL", url)


# The bundled sample


@pytest.mark.parametrize(("split", "count"), [("train", 10_000), ("test", 1_000)])
def test_sample_holds_real_digits(split, count):
    images, labels = sample(split)
    assert images.shape == (count, 28, 28)
    assert labels.shape == (count,)
    assert images.dtype == labels.dtype == np.uint8
    assert images.max(axis=(1, 2)).min() > 200
    shares = np.bincount(labels, minlength=10) / count
    assert shares.min() > 0.08
    assert shares.max() < 0.13
    # The published files' first labels, as everyone has seen them.
    first = {"train": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "test": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]}
    assert labels[:10].tolist() == first[split]


def test_sample_is_what_was_bundled():
    checksums = {
        "train": "2e49afdffc567fd5f9f306a04e2bafced2432146ae04f4b9a58b25505ba05b2e",
        "test": "433b45373ea5854af220ecaa5779542557e32a893fbaf90aa26d1e31123335de",
    }
    for split, checksum in checksums.items():
        data = b"".join(array.tobytes() for array in sample(split))
        assert hashlib.sha256(data).hexdigest() == checksum


def test_sample_is_small_and_attributed():
    assert digits._SAMPLE.stat().st_size < 1_900_000
    notice = (digits._SAMPLE.parent / "NOTICE").read_text()
    for word in ("LeCun", "Cortes", "Burges", "ShareAlike 3.0", digits._SAMPLE.name):
        assert word in notice


@needs_mnist
def test_sample_is_the_first_digits_of_the_files(tmp_path):
    for split in NAMES:
        for ours, theirs in zip(sample(split), digits._read_idx(split, MNIST), strict=True):
            np.testing.assert_array_equal(ours, theirs[: len(ours)])
    make_sample(MNIST, tmp_path / "sample.npz")
    assert (tmp_path / "sample.npz").read_bytes() == digits._SAMPLE.read_bytes()


@needs_mnist
def test_the_published_files_are_read_whole():
    test = load_digits("test", data_dir=MNIST)
    assert test.images.shape == (10_000, 28, 28)
    assert test.source == "idx: first 10000 test digits"


# What is returned


def test_digits_are_grey_in_0_1_and_integer_labels():
    test = load_digits("test", count=7, source="sample")
    images, labels = sample("test")
    assert test.images.dtype == np.float32
    assert test.labels.dtype == np.int32
    np.testing.assert_allclose(test.images, images[:7] / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(test.labels, labels[:7])
    assert test.images.max() == 1.0


def test_part_of_the_test_digits_comes_from_the_sample(monkeypatch):
    monkeypatch.setattr(digits, "_read_tfds", lambda *args: pytest.fail("asked tfds"))
    assert load_digits("test", count=500).source == "sample: first 500 test digits"


def test_verbose_says_source_and_count(capsys):
    load_digits("train", source="sample", count=12)
    assert capsys.readouterr().out == ""
    load_digits("train", source="sample", count=12, verbose=True)
    assert capsys.readouterr().out == "Digits from sample: first 12 train digits\n"


# idx files


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("split", list(NAMES))
def test_idx_files_are_read_in_their_order(tmp_path, split, compress):
    read = load_digits(split, data_dir=write_idx(tmp_path, compress), count=15)
    expected = load_digits(split, source="sample", count=15)
    np.testing.assert_array_equal(read.images, expected.images)
    np.testing.assert_array_equal(read.labels, expected.labels)
    assert read.source == f"idx: first 15 {split} digits"
    assert len(load_digits(split, data_dir=str(tmp_path)).labels) == COUNTS[split]


IMAGES, LABELS = NAMES["test"]


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (IMAGES, None, f"must contain {IMAGES} or {IMAGES}.gz. Received: data_dir="),
        (LABELS, None, f"must contain {LABELS} or {LABELS}.gz. Received: data_dir="),
        (IMAGES, lambda data: b"", "must start with the magic number 00000803. Received: ''"),
        (IMAGES, lambda data: b"\x89PNG" + data, "Received: '89504e47'"),
        (LABELS, lambda data: data[:3] + b"\3" + data[4:], "00000801. Received: '00000803'"),
        (IMAGES, lambda data: data[:10], "ends within its header. Received: 10 bytes"),
        (IMAGES, lambda data: data[:-1], "must be 15696 bytes long for its 20 items. Received: 1"),
        (IMAGES, lambda data: data + b"0", "for its 20 items. Received: 15697 bytes"),
        (IMAGES, lambda data: data[:11] + b"\5" + data[12:], r"items of \(28, 28\). .*\(5, 28\)"),
        (LABELS, lambda data: idx_bytes(np.zeros(9, np.uint8)), "20 images and 9 labels"),
        (LABELS, lambda data: data[:-1] + b"\x0a", "must be in 0 to 9. Received: 10"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, name, damage, message):
    path = write_idx(tmp_path) / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message) as error:
        load_digits("test", data_dir=tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-20],
        lambda data: data[:20] + bytes(20) + data[40:],
        lambda data: data[:-8] + bytes(8),
        lambda data: b"plain" + data,
    ],
)
def test_corrupt_gzip_is_named(tmp_path, damage):
    path = write_idx(tmp_path, compress=True) / f"{LABELS}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{LABELS}.gz cannot be read. Received: "):
        load_digits("test", data_dir=tmp_path)


@pytest.mark.parametrize("compress", [False, True])
def test_the_bytes_say_whether_a_file_is_compressed(tmp_path, compress):
    """Browsers unpack a file and keep its name, or keep it packed and cut the ending."""
    for path in write_idx(tmp_path, compress).iterdir():
        path.rename(path.with_suffix("") if compress else f"{path}.gz")
    read = load_digits("test", data_dir=tmp_path)
    np.testing.assert_array_equal(read.labels, sample("test")[1][: COUNTS["test"]])


def test_a_folder_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    write_idx(tmp_path / "mnist")
    assert len(load_digits("test", data_dir="~/mnist").labels) == COUNTS["test"]


def test_a_compressed_file_is_not_unpacked_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "_MAX_BYTES", 100)
    with pytest.raises(ValueError, match=r"must be 15696 bytes long .* Received: 100 bytes"):
        load_digits("test", data_dir=write_idx(tmp_path, compress=True))


def test_missing_folder(tmp_path):
    with pytest.raises(ValueError, match=r"data_dir must be a folder .* Received: .*nowhere"):
        load_digits("train", data_dir=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "split must be 'train' or 'test'. Received: split='valid'"),
        ({"split": "test", "count": 0}, "count must be a positive integer. Received: count=0"),
        ({"split": "test", "count": 1.5}, "count must be a positive integer. Received: count=1.5"),
        ({"split": "test", "source": "web"}, "source must be .* Received: source='web'"),
        ({"split": "test", "source": "idx"}, "needs a data_dir .* data_dir=None"),
        ({"split": "test", "source": "sample", "data_dir": "d"}, "takes none.* data_dir='d'"),
        ({"split": "test", "source": "tfds", "count": 500}, "shuffles .* Received: count=500"),
        ({"split": "test", "count": 1001}, "at most 1000, .* a data_dir .* Received: count=1001"),
        ({"split": "train", "source": "sample", "count": 60_000}, "at most 10000, .* count=60000"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        load_digits(**arguments)
    assert "\n" not in str(error.value)


# tensorflow-datasets


def test_tfds_mocked(tfds_from, tmp_path):
    import tensorflow_datasets as tfds

    with serving(write_idx(tmp_path, compress=True)) as url:
        tfds_from(url)
        with tfds.testing.mock_data(num_examples=30):
            train = load_digits("train", count=25)
    assert train.images.shape == (25, 28, 28)
    assert train.images.dtype == np.float32
    assert 0.0 <= train.images.min() < train.images.max() <= 1.0
    assert train.labels.dtype == np.int32
    assert set(train.labels.tolist()) <= set(range(10))
    assert train.source == "tfds: shuffled 25 train digits"


def test_tfds_downloads_prepares_and_then_needs_no_network(tfds_from, tmp_path):
    with serving(write_idx(tmp_path, compress=True)) as url:
        tfds_from(url)
        train = load_digits("train")
    test = load_digits("test")  # the server is gone
    assert (tmp_path / "tfds" / "mnist").is_dir()
    for split, read in (("train", train), ("test", test)):
        images, labels = (array[: COUNTS[split]] for array in sample(split))
        assert read.source == f"tfds: shuffled {COUNTS[split]} {split} digits"
        assert as_set(np.round(read.images * 255).astype(np.uint8), read.labels) == as_set(
            images, labels
        )


# Falling back


@contextlib.contextmanager
def hanging_server(_):
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@contextlib.contextmanager
def refusing_server(_=None):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}/"


@contextlib.contextmanager
def empty_server(folder):
    """A host that answers, but has no digits."""
    (folder / "empty").mkdir()
    with serving(folder / "empty") as url:
        yield url


@contextlib.contextmanager
def broken_server(folder):
    """A host whose labels are there and whose images are not."""
    path = write_idx(folder, compress=True) / f"{NAMES['train'][0]}.gz"
    path.unlink()
    with serving(folder) as url:
        yield url


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (refusing_server, "ConnectionError"),
        (hanging_server, "no answer within 2 s|Timeout"),
        (empty_server, "HTTPError"),
        (broken_server, "train-images-idx3-ubyte.gz.*404"),
    ],
)
def test_falls_back_to_the_sample_in_seconds(tfds_from, tmp_path, server, reason):
    with server(tmp_path) as url:
        tfds_from(url)
        start = time.monotonic()
        train = load_digits("train")
        assert time.monotonic() - start < 5.0
    assert train.source.startswith("sample: first 10000 train digits (tensorflow-datasets cannot")
    assert re.search(reason, train.source)
    assert "\n" not in train.source
    np.testing.assert_array_equal(train.labels, sample("train")[1])


@pytest.mark.parametrize("hangs", [False, True])
def test_falls_back_without_a_name_server(tfds_from, monkeypatch, hangs):
    tfds_from("http://digits.invalid/")
    release = threading.Event()

    def no_address(*args, **kwargs):
        if hangs:
            release.wait(20.0)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_address)
    start = time.monotonic()
    test = load_digits("test")
    assert time.monotonic() - start < 5.0
    release.set()
    assert test.source.startswith("sample: first 1000 test digits (tensorflow-datasets cannot")
    assert ("no answer within 2 s" in test.source) == hangs


def test_tfds_keeps_its_data_in_data_dir(tfds_from, tmp_path):
    with serving(write_idx(tmp_path, compress=True)) as url:
        tfds_from(url)
        train = load_digits("train", data_dir=tmp_path / "mine", source="tfds")
    assert len(train.labels) == COUNTS["train"]
    assert (tmp_path / "mine" / "mnist").is_dir()


def test_more_than_the_fallback_has_is_an_error(tfds_from):
    with refusing_server() as url:
        tfds_from(url)
        with pytest.raises(ValueError, match=r"at most 10000, .*cannot.* Received: count=60000"):
            load_digits("train", count=60_000)


def test_insisting_on_tfds_does_not_fall_back(tfds_from):
    with refusing_server() as url:
        tfds_from(url)
        with pytest.raises(ValueError, match="tensorflow-datasets cannot provide MNIST: http"):
            load_digits("train", source="tfds")


# Per-cell labels


def test_cell_labels_name_the_digit_on_living_cells_only():
    test = load_digits("test", count=5)
    target = np.asarray(cell_labels(test.images, test.labels))
    assert target.shape == (5, 28, 28, 10)
    assert target.dtype == np.float32
    for image, label, cells in zip(test.images, test.labels, target, strict=True):
        for row in range(28):
            for column in range(28):
                expected = np.zeros(10)
                expected[label] = image[row, column] >= 0.1
                np.testing.assert_array_equal(cells[row, column], expected)


def test_cell_labels_in_a_graph():
    test = load_digits("test", count=3)
    signature = [tf.TensorSpec((None, 28, 28)), tf.TensorSpec((None,), tf.int32)]
    graph = tf.function(cell_labels, input_signature=signature)
    np.testing.assert_array_equal(
        graph(test.images, test.labels), cell_labels(test.images, test.labels)
    )


GREY_IMAGES, THREE_LABELS = np.full((3, 4, 5), 0.5), [1, 2, 3]
NO_DIGITS = {
    "fewer labels": (GREY_IMAGES, THREE_LABELS[:2], "equally many"),
    "bytes": (np.full((3, 4, 5), 200, np.uint8), THREE_LABELS, "divide bytes by 255"),
    "a picture": (GREY_IMAGES[0], THREE_LABELS, "images must be"),
    "no numbers": (GREY_IMAGES.astype(str), THREE_LABELS, "images must be"),
    "a class of 10": (GREY_IMAGES, [1, 2, 10], "labels must be in"),
    "half a class": (GREY_IMAGES, [1, 2, 2.5], "labels must be integers"),
    "one-hot": (GREY_IMAGES, np.eye(10)[:3], "labels must be integers"),
}


@pytest.mark.parametrize("name", NO_DIGITS)
def test_what_are_no_digits_is_refused(name):
    images, labels, message = NO_DIGITS[name]
    with pytest.raises(ValueError, match=message):
        tfnca.Digits(images, labels, "made here")


def test_lists_are_digits_too():
    digits = tfnca.Digits(GREY_IMAGES.tolist(), THREE_LABELS, "made here")
    assert (digits.images.dtype, digits.labels.dtype) == (np.float32, np.int32)
    np.testing.assert_array_equal(digits.images, GREY_IMAGES)
    pool = tfnca.DigitPool(digits, size=4, batch_size=4)
    assert float(np.max(pool.variables["states"])) == pytest.approx(0.5, abs=1 / 255)
    with pytest.raises(ValueError, match="count must be"):
        digits.first(-1)


def test_each_image_has_a_label_of_its_own():
    with pytest.raises(ValueError, match="equally many"):
        cell_labels(np.ones((2, 3, 3)), [8])
    with pytest.raises(ValueError, match="labels must be in"):
        cell_labels(np.ones((1, 3, 3)), [10])
