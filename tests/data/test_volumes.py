"""Volumes in NIfTI-1 files, written here by the format's own description."""

import gzip
import struct

import numpy as np
import pytest

from tfnca.data.volumes import load_volume, resized

VALUES = np.arange(24).reshape(2, 3, 4)
TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}


def nifti(values=VALUES, kind=4, order="<", slope=0.0, intercept=0.0, offset=352.0, sizes=None):
    header = bytearray(352)
    sizes = list(sizes or values.shape)
    struct.pack_into(f"{order}i", header, 0, 348)
    struct.pack_into(f"{order}8h", header, 40, len(sizes), *sizes, *[1] * (7 - len(sizes)))
    struct.pack_into(f"{order}h", header, 70, kind)
    struct.pack_into(f"{order}3f", header, 108, offset, slope, intercept)
    header[344:348] = b"n+1\0"
    return bytes(header) + values.astype(f"{order}{TYPES.get(kind, 'u1')}").tobytes("F")


def written(path, data):
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_in_both_byte_orders(tmp_path, kind, order):
    found = load_volume(written(tmp_path / "a.nii", nifti(kind=kind, order=order)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, VALUES)


def test_compressed_and_scaled(tmp_path):
    data = gzip.compress(nifti(slope=0.5, intercept=-1.0))
    found = load_volume(written(tmp_path / "any name", data))
    np.testing.assert_array_equal(found, 0.5 * VALUES - 1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "NIfTI-1"),
        (b"\x1f\x8bno gzip", "cannot be read"),
        (gzip.compress(nifti(), mtime=0)[:-20], "cannot be read"),
        (nifti()[:-1], "ends before its last value"),
        (nifti(sizes=(32767,) * 7), "ends before its last value"),
        (nifti(offset=float("nan")), "ends before its last value"),
        (nifti(offset=0.0), "ends before its last value"),
        (nifti(kind=128), "must contain a volume of numbers"),
        (nifti(sizes=(2, 0, 4)), "must contain a volume"),
        (nifti(sizes=(2, -3, 4)), "must contain a volume"),
        (nifti(np.full((2, 3), np.inf), kind=16), "not finite"),
        (nifti(slope=float("inf")), "not finite"),
        (nifti().replace(b"n+1\0", b"ni1\0"), "contains header and data"),
    ],
)
def test_broken_files_are_refused(tmp_path, data, message):
    with pytest.raises(ValueError, match=f"a.nii.*{message}.*Received"):
        load_volume(written(tmp_path / "a.nii", data))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        load_volume(tmp_path / "no.nii")


def test_other_sizes():
    steps = np.array([[[0.0, 1.0]]]).repeat(2, 1)
    np.testing.assert_array_equal(resized(steps, 4, nearest=True), [[[0.0, 0.0, 1.0, 1.0]] * 4])
    between = resized(steps, 4)
    assert between.shape == (1, 4, 4)
    assert 0 < between[0, 0, 1] < between[0, 0, 2] < 1
    with pytest.raises(ValueError, match="count, height, width"):
        resized(steps[0], 4)
