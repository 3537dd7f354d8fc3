"""The drawn lizard and its mutations, and targets from files and emoji."""

import itertools
import os
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation, distance_transform_cdt

from tfnca.data import drawing
from tfnca.data.drawing import DRAWN, lizard
from tfnca.data.targets import TARGETS, load_target, pad_target

ORIGINALS = Path(
    os.environ.get("TFNCA_ORIGINALS", Path(__file__).parents[3] / "shared" / "originals")
)
PUBLISHED_IMAGES = ORIGINALS / "growing_ca_target_images.zip"

# What the plain lizard scores against each published mutated target.
PUBLISHED_DIFFERENCE = {
    "no_tail": 0.0056,
    "no_leg": 0.0032,
    "no_head": 0.0109,
    "no_arm": 0.0030,
    "red": 0.0117,
    "blue": 0.0162,
}
PUBLISHED_MEAN_SQUARE = 0.0409

# Rows and columns of the 40-px frame outside which a left-out part changes nothing.
REGION = {
    "no_tail": (slice(26, 40), slice(15, 40)),
    "no_leg": (slice(21, 36), slice(3, 16)),
    "no_head": (slice(0, 19), slice(14, 31)),
    "no_arm": (slice(6, 21), slice(0, 17)),
}


@pytest.fixture(scope="module")
def drawn():
    return {name: load_target(name) for name in TARGETS}


def mean_square(target):
    return np.mean(np.pad(target, ((16, 16), (16, 16), (0, 0))) ** 2)


def save(path, rgba):
    Image.fromarray(rgba).save(path)
    return path


@pytest.mark.parametrize("name", TARGETS)
def test_is_premultiplied_rgba_within_a_margin_of_one_pixel(drawn, name):
    target = drawn[name]
    assert target.shape == (40, 40, 4)
    assert target.dtype == np.float32
    assert target.min() >= 0
    assert target.max() <= 1
    assert np.all(target[..., :3] <= target[..., 3:] + 1e-6)
    assert not target[[0, -1]].any()
    assert not target[:, [0, -1]].any()


@pytest.mark.parametrize("name", TARGETS)
def test_covers_the_cell_that_the_seed_starts_from(drawn, name):
    assert pad_target(drawn[name])[36, 36, 3] > 0.99


@pytest.mark.parametrize("name", PUBLISHED_DIFFERENCE)
def test_differs_from_the_plain_lizard_as_much_as_published(drawn, name):
    ratio = mean_square(drawn[name] - drawn["lizard"]) / PUBLISHED_DIFFERENCE[name]
    assert 0.85 < ratio < 1.25


def test_is_no_paler_or_simpler_than_the_published_lizard(drawn):
    plain = drawn["lizard"]
    assert 0.9 < mean_square(plain) / PUBLISHED_MEAN_SQUARE < 1.3
    # Spread of red, green and blue over opaque cells; the published lizard's is .17, .11, .19.
    assert np.all(plain[plain[..., 3] > 0.9][:, :3].std(axis=0) > 0.1)


@pytest.mark.parametrize("name", REGION)
def test_leaving_a_part_out_changes_only_its_region(drawn, name):
    change = np.abs(drawn[name] - drawn["lizard"]).max(axis=-1)
    outside = change.copy()
    outside[REGION[name]] = 0
    assert outside.max() < 1e-6
    assert change.max() > 0.9


@pytest.mark.parametrize("name", REGION)
def test_leaving_a_part_out_clears_cells_and_adds_none(drawn, name):
    plain, mutated = drawn["lizard"][..., 3], drawn[name][..., 3]
    assert np.all(mutated <= plain + 1e-6)
    assert np.sum(plain - mutated) > 50


def test_the_parts_left_out_do_not_overlap(drawn):
    cleared = [drawn["lizard"][..., 3] - drawn[name][..., 3] > 0.5 for name in REGION]
    assert np.sum(cleared, axis=0).max() == 1


@pytest.mark.parametrize(("color", "channel"), [(None, 1), ("red", 0), ("blue", 2)])
def test_its_colour_is_the_dominant_channel(color, channel):
    target = lizard(color=color)
    skin = target[target[..., 3] > 0.9][:, :3]
    # As published, the outline stays green when the skin is recoloured.
    assert np.mean(skin.argmax(axis=-1) == channel) > (0.95 if color is None else 0.75)
    others = np.delete(skin.mean(axis=0), channel)
    assert np.all(skin.mean(axis=0)[channel] > others + 0.3)


def test_the_tail_is_cut_off_where_it_is_wide_and_nothing_else_changes(drawn):
    """A thin root and a redrawn stub make a tail that no attack takes off."""
    plain, tailless = drawn["lizard"], drawn["no_tail"]
    whole = tailless[..., 3] > 0.9
    assert np.abs(tailless - plain)[whole].max() < 0.1
    kept = tailless[..., 3] > 0.5
    gone = (plain[..., 3] > 0.5) & ~kept
    border = kept & (np.roll(gone, -1, axis=0) | np.roll(gone, -1, axis=1))
    assert border.sum() >= 6


@pytest.mark.parametrize("color", ["red", "blue"])
def test_the_outline_stays_green(color):
    plain, colored = lizard(size=200), lizard(color=color, size=200)
    outline = np.abs(plain[..., :3] - drawing._COLORS[None]["outline"]).max(axis=-1) < 1e-3
    outline &= plain[..., 3] > 0.999
    assert outline.sum() > 500
    np.testing.assert_allclose(colored[outline], plain[outline], atol=0.02)


@pytest.mark.parametrize("color", ["red", "blue"])
def test_a_colour_changes_neither_shape_nor_eyes(color):
    plain, colored = lizard(size=200), lizard(color=color, size=200)
    np.testing.assert_allclose(colored[..., 3], plain[..., 3], atol=1e-6)
    for x, y in drawing._EYES:
        eye = slice(int(y * 200) - 5, int(y * 200) + 5), slice(int(x * 200) - 5, int(x * 200) + 5)
        np.testing.assert_allclose(colored[eye], plain[eye], atol=1e-6)
        assert plain[eye][..., :3].max() > 0.99
        assert plain[eye][..., :3].min() < 0.1


def test_a_part_and_a_colour_combine(drawn):
    both = lizard(without="tail", color="red")
    np.testing.assert_allclose(both[..., 3], drawn["no_tail"][..., 3], atol=1e-6)
    rows, columns = REGION["no_tail"]
    np.testing.assert_allclose(both[: rows.start], drawn["red"][: rows.start], atol=1e-6)
    np.testing.assert_allclose(
        both[:, : columns.start], drawn["red"][:, : columns.start], atol=1e-6
    )


@pytest.mark.parametrize("name", ["lizard", "no_head"])
def test_is_the_same_drawing_at_40_and_at_400_pixels(drawn, name):
    large = load_target(name, size=400).reshape(40, 10, 40, 10, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(large, drawn[name], atol=0.02)


def test_its_edges_are_smooth():
    alpha = lizard(size=120)[..., 3]
    edge = (alpha > 0.02) & (alpha < 0.98)
    perimeter = np.sum(np.diff((alpha > 0.5).astype(int), axis=1) != 0)
    assert np.sum(edge) > perimeter
    assert len(np.unique(np.round(alpha[edge], 2))) > 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"without": "wing"}, "without must be one of .*wing"),
        ({"color": "pink"}, "color must be .*pink"),
        ({"size": 0}, "size must be an integer of at least 1.*0"),
        ({"size": 40.5}, "size must be an integer of at least 1.*40.5"),
    ],
)
def test_lizard_names_what_it_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        lizard(**arguments)


def test_a_png_of_the_target_size_comes_back_as_it_was(tmp_path, drawn):
    plain = drawn["lizard"]
    alpha = plain[..., 3:]
    straight = np.concatenate([plain[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1)
    path = save(tmp_path / "lizard.png", np.round(straight * 255).astype(np.uint8))
    for spec in (path, str(path)):
        np.testing.assert_allclose(load_target(spec), plain, atol=1 / 255)


def test_colour_is_premultiplied_by_alpha(tmp_path):
    path = save(tmp_path / "half.png", np.full((40, 40, 4), (255, 102, 0, 51), np.uint8))
    target = load_target(path)
    np.testing.assert_allclose(target, np.broadcast_to((0.2, 0.08, 0, 0.2), (40, 40, 4)), atol=1e-6)


def test_a_wide_picture_is_shrunk_to_fit_and_centred(tmp_path):
    path = save(tmp_path / "wide.png", np.full((100, 200, 4), 255, np.uint8))
    target = load_target(path)
    assert np.all(target[10:30] == 1)
    assert not target[:10].any()
    assert not target[30:].any()


def test_a_small_picture_is_centred_and_not_enlarged(tmp_path):
    path = save(tmp_path / "small.png", np.full((10, 10, 4), 255, np.uint8))
    target = load_target(path)
    assert target[..., 3].sum() == 100
    assert np.all(target[15:25, 15:25] == 1)


def test_a_picture_without_alpha_is_an_opaque_square(tmp_path):
    target = load_target(save(tmp_path / "rgb.png", np.full((80, 80, 3), (255, 0, 51), np.uint8)))
    np.testing.assert_allclose(target, np.broadcast_to((1, 0, 0.2, 1), (40, 40, 4)), atol=1e-6)


def test_grey_of_16_bits_is_scaled_and_not_clipped(tmp_path):
    target = load_target(save(tmp_path / "grey.png", np.full((40, 40), 0x8000, np.uint16)))
    np.testing.assert_allclose(target[..., :3], 128 / 255, atol=1e-6)


GREYS = {
    # What a pixel holds, and the grey that it means.
    "bytes in 32 bits": (np.int32, 128, 128 / 255),
    "16 bits in 32": (np.int32, 0x8000, 128 / 255),
    "31 bits": (np.int32, 1 << 30, 128 / 255),
    "32 bits": (np.uint32, 1 << 31, 128 / 255),
    "floats in [0, 1]": (np.float32, 0.5, 128 / 255),
    "floats in [0, 255]": (np.float32, 51.0, 0.2),
}


@pytest.mark.parametrize("name", GREYS)
def test_grey_of_32_bits_is_scaled_and_not_clipped(tmp_path, name):
    """A float TIFF came out black, a large integer white."""
    dtype, value, expected = GREYS[name]
    pixels = np.full((40, 40), value, dtype)
    pixels[0, 0] = 0
    save(tmp_path / "grey.tiff", pixels.view(np.int32) if dtype is np.uint32 else pixels)
    target = load_target(tmp_path / "grey.tiff")
    np.testing.assert_allclose(target[20, 20], [expected] * 3 + [1], atol=1e-6)
    np.testing.assert_allclose(target[0, 0], [0, 0, 0, 1], atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 256.0])
def test_floats_that_are_no_grey_are_refused(tmp_path, value):
    path = save(tmp_path / "grey.tiff", np.full((4, 4), value, np.float32))
    with pytest.raises(ValueError, match=r"floats must be in \[0, 1\].*Received: spec=.*grey"):
        load_target(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "jpg", "tiff"])
def test_a_photograph_is_turned_as_it_says(tmp_path, orientation, ending):
    upright = np.zeros((40, 40, 3), np.uint8)
    upright[:20, :20] = 255  # white in the upper left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    target = load_target(path)
    assert target[2:18, 2:18, :3].min() > 0.9
    assert target[22:, :, :3].max() < 0.1
    assert target[:, 22:, :3].max() < 0.1


def test_a_picture_that_pillow_will_not_unpack_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "vast.png", np.full((40, 40, 4), 255, np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"cannot be read: Image size .*Received: spec=.*vast"):
        load_target(path)


def test_a_picture_that_claims_gigabytes_is_refused(tmp_path):
    path = tmp_path / "claims.png"
    path.write_bytes(save(tmp_path / "x.png", np.zeros((1, 1, 4), np.uint8)).read_bytes())
    data = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", 7000, 7000) + data[24:29]
    path.write_bytes(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:])
    with pytest.raises(ValueError, match=r"7000 x 7000 pixels, at most 40 million. Received"):
        load_target(path)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_picture_is_refused(tmp_path, damage):
    path = save(tmp_path / "broken.png", np.full((40, 40, 4), 255, np.uint8))
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:-30] if damage == "cut" else data[:45] + b"\xff" * 20 + data[65:])
    with pytest.raises(ValueError, match=r"picture.*Received: spec=.*broken.png"):
        load_target(path)


def test_a_path_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(tmp_path / "white.png", np.full((40, 40, 4), 255, np.uint8))
    assert load_target("~/white.png").min() == 1


@pytest.mark.parametrize("size", [0, -3, 40.5, None, "40", True, np.nan, np.inf])
@pytest.mark.parametrize("spec", ["lizard", "picture"])
def test_a_size_that_is_none_is_refused(tmp_path, spec, size):
    if spec == "picture":
        spec = save(tmp_path / "white.png", np.full((40, 40, 4), 255, np.uint8))
    with pytest.raises(ValueError, match=r"size must be an integer of at least 1\. Received: size"):
        load_target(spec, size=size)


@pytest.mark.parametrize("size", [40.0, np.int64(40), np.float32(40)])
def test_a_whole_number_of_any_type_is_a_size(tmp_path, size):
    path = save(tmp_path / "white.png", np.full((50, 50, 4), 255, np.uint8))
    for spec in ("lizard", path):
        assert load_target(spec, size=size).shape == (40, 40, 4)


def test_a_transparent_palette_keeps_its_transparency(tmp_path):
    image = Image.new("P", (40, 40), 0)
    image.putpalette([9, 9, 9, 255, 0, 0])
    image.paste(1, (10, 10, 30, 30))
    image.save(tmp_path / "palette.png", transparency=0)
    target = load_target(tmp_path / "palette.png")
    assert target[..., 3].sum() == 400
    np.testing.assert_allclose(target[20, 20], (1, 0, 0, 1))


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("wingless", "no such name or file"),
        ("missing.png", "no such name or file"),
        ("", "no such name or file"),
        ("a" * 300, "no such name or file"),
        ("1", "no such name or file"),
        (8, "must be a string or a path"),
        (Path(__file__), "not a picture"),
    ],
)
def test_an_unknown_target_is_answered_with_what_is_accepted(spec, reason):
    with pytest.raises(ValueError, match=f"no_tail.*PNG.*emoji; .*{reason}.*Received: spec="):
        load_target(spec)


def test_an_empty_picture_is_refused(tmp_path):
    path = save(tmp_path / "empty.png", np.zeros((40, 40, 4), np.uint8))
    with pytest.raises(ValueError, match="the picture is empty"):
        load_target(path)


def test_an_emoji_without_a_font_says_how_to_install_one(monkeypatch, tmp_path):
    monkeypatch.setattr("tfnca.data.targets._FONT_FOLDERS", [str(tmp_path)])
    with pytest.raises(ValueError, match="apt install fonts-noto-color-emoji"):
        load_target("🦎")


@pytest.mark.parametrize("text", ["1️⃣", "#️⃣", "*⃣", "‼️", "↔️", "🇩🇪", "👩‍🚀"])
def test_an_emoji_need_not_start_with_a_symbol(monkeypatch, tmp_path, text):
    """Keycaps start with a digit, others with punctuation or a sign of mathematics."""
    monkeypatch.setattr("tfnca.data.targets._FONT_FOLDERS", [str(tmp_path)])
    with pytest.raises(ValueError, match=r"no colour-emoji font is installed|raqm"):
        load_target(text)


def test_an_emoji_of_several_characters_is_one_picture():
    """A keycap is a square. Without raqm its parts would stand side by side, so it is refused."""
    try:
        target = load_target("1️⃣")
    except ValueError as error:
        if "no colour-emoji font" in str(error) or "raqm" in str(error):
            pytest.skip("no colour-emoji font is installed, or Pillow has no raqm")
        raise
    rows, columns = np.nonzero(target[..., 3])
    assert np.ptp(rows) == np.ptp(columns)


def test_without_raqm_an_emoji_of_several_characters_is_refused(monkeypatch):
    monkeypatch.setattr("tfnca.data.targets.features.check", lambda name: False)
    with pytest.raises(ValueError, match=r"needs a Pillow with raqm\. Received: spec="):
        load_target("1️⃣")


def test_an_emoji_is_a_target_where_a_font_is_found():
    try:
        target = load_target("🦎")
    except ValueError as error:
        if "no colour-emoji font is installed" in str(error):
            pytest.skip("no colour-emoji font is installed")
        raise
    red, green, _ = target[target[..., 3] > 0.9][:, :3].mean(axis=0)
    assert green > red
    assert 200 < target[..., 3].sum() < 1400
    rows, columns = np.nonzero(target[..., 3])
    assert max(np.ptp(rows), np.ptp(columns)) >= 38


def test_padding_adds_empty_cells_on_each_side(drawn):
    padded = pad_target(drawn["lizard"], padding=32)
    assert padded.shape == (104, 104, 4)
    np.testing.assert_array_equal(padded[32:-32, 32:-32], drawn["lizard"])
    assert padded.sum() == pytest.approx(drawn["lizard"].sum())


def test_padding_refuses_what_is_no_target(drawn):
    with pytest.raises(ValueError, match="target must be"):
        pad_target(drawn["lizard"][..., :3])
    with pytest.raises(ValueError, match="padding must not be negative"):
        pad_target(drawn["lizard"], padding=-1)
    for padding in (1.5, "2", None, True, np.nan, (1, 2)):
        with pytest.raises(
            ValueError, match=r"padding must be an integer of at least 0\. Received"
        ):
            pad_target(drawn["lizard"], padding=padding)
    assert pad_target(drawn["lizard"], padding=np.float64(2)).shape == (44, 44, 4)


def unpack_published(folder):
    if not PUBLISHED_IMAGES.exists():
        if os.environ.get("TFNCA_REQUIRE_ORIGINALS") == "1":
            pytest.fail(f"{PUBLISHED_IMAGES} is absent")
        pytest.skip(f"{PUBLISHED_IMAGES} is absent")
    with zipfile.ZipFile(PUBLISHED_IMAGES) as archive:
        archive.extractall(folder)


def border_and_reach(plain, without):
    """Cells that stay and border on what goes, and how far from those that stay it reaches."""
    there, stays = plain[..., 3] > 0.1, without[..., 3] > 0.1
    goes = there & ~stays
    border = binary_dilation(goes, np.ones((3, 3))) & stays
    return border.sum(), distance_transform_cdt(~stays, metric="chessboard")[goes].max()


@pytest.mark.originals
def test_the_tail_borders_on_as_many_cells_as_the_published_one(tmp_path, drawn):
    unpack_published(tmp_path)
    published = [load_target(tmp_path / f"lizard_{name}.png") for name in ("complete", "no_tail")]
    assert border_and_reach(*published) == (11, 13)
    assert border_and_reach(drawn["lizard"], drawn["no_tail"]) == (11, 9)


@pytest.mark.originals
def test_published_images_load_as_they_are(tmp_path):
    unpack_published(tmp_path)
    # The mean square of each: the score of an empty grid.
    published = {
        "complete": 0.0409,
        "no_tail": 0.0355,
        "no_leg": 0.0380,
        "no_head": 0.0301,
        "no_arm": 0.0381,
        "red": 0.0453,
        "blue": 0.0455,
    }
    for name, expected in published.items():
        target = load_target(tmp_path / f"lizard_{name}.png")
        assert mean_square(target) == pytest.approx(expected, abs=6e-5), name
        assert np.all(target[..., :3] <= target[..., 3:])


def test_every_drawn_target_is_another_picture():
    pictures = [load_target(name) for name in DRAWN]
    for first, second in itertools.combinations(pictures, 2):
        assert np.abs(first - second).max() > 0.1
