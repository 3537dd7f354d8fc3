"""Pictures: colours, tiles, files."""

import gc

import imageio.v2 as imageio
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfnca
from tfnca.pictures import (
    digits_to_rgb,
    png_bytes,
    save_animation,
    save_png,
    save_video,
    tile,
)
from tfnca.plots import plot

ARTICLE = [
    (128, 0, 0),
    (230, 25, 75),
    (70, 240, 240),
    (210, 245, 60),
    (250, 190, 190),
    (170, 110, 40),
    (170, 255, 195),
    (165, 163, 159),
    (0, 128, 128),
    (128, 128, 0),
]
WRONG = (90, 90, 90)


def cells(*said, grey=1.0):
    """A 1×n digit whose cells say these classes; None says nothing."""
    state = np.zeros((1, 1, len(said), 20), np.float32)
    state[..., 0] = grey
    for j, digit in enumerate(said):
        if digit is not None:
            state[0, 0, j, 10 + digit] = 0.1
    return state


def colours(state, *args, **kwargs):
    rgb = digits_to_rgb(state, *args, **kwargs)
    assert rgb.shape == (*state.shape[:3], 3)
    return [tuple(int(c) for c in cell) for cell in np.round(255 * rgb[0, 0])]


def test_classes_have_the_articles_colours_and_undecided_cells_are_black():
    assert colours(cells(*range(10), None)) == [*ARTICLE, (0, 0, 0)]


def test_a_digit_whose_cells_are_mostly_wrong_has_a_frame():
    state = cells(3, 3, 5, 5, 5)
    state[0, 0, 4, 0] = 0.0
    stroke = [ARTICLE[3], ARTICLE[3], ARTICLE[5], ARTICLE[5]]
    white = (255, 255, 255)
    assert colours(state) == [*stroke, white]
    assert colours(state, [3]) == [*stroke, white]  # half is right
    assert colours(state, [4]) == [*stroke, WRONG]
    state[0, 0, 1, 10:] = np.eye(10)[5]
    assert colours(state, [3])[-1] == WRONG
    empty = np.zeros((1, 4, 5, 20), np.float32)
    empty[0, 2, 2, [0, 15]] = 1.0  # one cell, which says 5
    dark = (digits_to_rgb(empty, [3])[0] == np.array(WRONG) / 255).all(-1)
    np.testing.assert_array_equal(dark, np.pad(np.zeros((2, 3), bool), 1, constant_values=True))


def test_faint_strokes_fade_into_the_background():
    state = cells(0, 0, grey=0.5)
    state[0, 0, 1, 0] = 0.09  # not a living cell
    assert colours(state) == [(192, 128, 128), (255, 255, 255)]


def test_adversaries_are_red():
    state = cells(1, 2, 3)
    assert colours(state, mask=np.array([[[0, 1, 0]]])) == [ARTICLE[1], (255, 0, 0), ARTICLE[3]]
    assert colours(state, mask=np.zeros((1, 1, 3))) == ARTICLE[1:4]


def test_each_item_has_its_own_label():
    state = np.concatenate([cells(3, 3), cells(3, 3)])
    state[:, :, 1, 0] = 0.0
    rgb = np.round(255 * digits_to_rgb(state, [3, 4]))
    assert [tuple(rgb[i, 0, 1].astype(int)) for i in (0, 1)] == [(255, 255, 255), WRONG]


def test_tiles():
    images = np.stack([np.full((2, 3, 3), i / 10) for i in range(5)])
    sheet = tile(images, columns=3, gap=1, scale=2)
    assert sheet.shape == (2 * (2 + 1 + 2), 2 * (3 + 1 + 3 + 1 + 3), 3)
    expected = np.ones((5, 11))
    for i in range(5):
        top, left = 3 * (i // 3), 4 * (i % 3)
        expected[top : top + 2, left : left + 3] = i / 10
    np.testing.assert_allclose(sheet[..., 1], np.kron(expected, np.ones((2, 2))))
    assert tile(images, gap=0).shape == (2 * 2, 3 * 3, 3)  # three columns for five
    assert tile(images[:1]).shape == (2, 3, 3)


def test_png_files_give_the_picture_back(tmp_path):
    picture = np.random.default_rng(0).random((5, 7, 3))
    picture[0, 0], picture[0, 1] = -0.3, 1.7
    path = tmp_path / "picture.png"
    save_png(path, picture)
    assert path.read_bytes() == png_bytes(picture)
    with Image.open(path) as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(image, np.round(255 * picture.clip(0, 1)))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio-ffmpeg's pipes
@pytest.mark.parametrize("size", [(32, 48), (31, 47)])
def test_videos_can_be_read(tmp_path, size):
    path = tmp_path / "video.mp4"
    shades = np.linspace(0.1, 0.9, 12)
    save_video(path, (np.full((*size, 3), shade) for shade in shades), fps=10)
    means = [frame.mean() / 255 for frame in imageio.mimread(path)]
    gc.collect()  # so that they are closed in here
    np.testing.assert_allclose(means, shades, atol=0.03)
    assert list(tmp_path.iterdir()) == [path]


def test_plots_show_their_curves():
    x = np.arange(1, 50)
    plots = [
        plot({"loss": (x, y)}, "step", "loss", log=log, spans=spans)
        for y, log, spans in (
            (1.0 / x, False, []),
            (2.0 / x**2, False, []),
            (1.0 / x, True, []),
            (1.0 / x, False, [(10, 20, "adversaries")]),
        )
    ]
    assert all(data.startswith(b"\x89PNG") for data in plots)
    assert len(set(plots)) == 4


def test_labels_stand_above_their_pictures():
    images = np.zeros((3, 30, 40, 3), np.float32)
    sheet = tile(images, columns=2, scale=2, labels=["one", "two", "a label that is wide"])
    assert sheet.shape[0] > 2 * 60 + 2
    assert sheet.shape[1] > 2 * 80 + 2
    dark = (sheet == 0).all(-1).sum()
    assert dark >= 3 * 60 * 80
    assert len(np.unique(sheet)) > 2, "no letter is drawn"
    with pytest.raises(ValueError, match="shorter"):
        tile(images, labels=["one"])


def test_a_target_is_written_as_other_programs_read_it(tmp_path):
    target = tfnca.load_target("no_tail")
    save_png(tmp_path / "target.png", target)
    with Image.open(tmp_path / "target.png") as image:
        assert image.mode == "RGBA"
    np.testing.assert_allclose(tfnca.load_target(tmp_path / "target.png"), target, atol=0.01)


def test_an_animation_may_be_larger_than_its_grid(tmp_path):
    frames = [np.full((4, 5, 3), shade, np.float32) for shade in (0.0, 1.0)]
    save_animation(tmp_path / "moving.webp", frames, scale=3)
    with Image.open(tmp_path / "moving.webp") as moving:
        assert moving.size == (15, 12)
        assert moving.n_frames == 2


GREEN, CLEAR = (0, 255, 0), (255, 255, 255)


def halves(kind):
    """A picture that is green on the left and clear on the right, 16×16."""
    left = np.zeros((16, 16, 4))
    left[:, :8] = 0.0, 1.0, 0.0, 1.0
    white = left[..., :3] + 1.0 - left[..., 3:]
    return {
        "floats": white,
        "bytes": np.round(255 * white).astype(np.uint8),
        "RGBA": left,
        "RGBA bytes": np.round(255 * left).astype(np.uint8),
        "a tensor": tf.constant(left, tf.float32),
    }[kind]


KINDS = ["floats", "bytes", "RGBA", "RGBA bytes", "a tensor"]


def assert_green_and_white(frame, tolerance):
    frame = np.asarray(frame, int)
    for column, colour in ((3, GREEN), (12, CLEAR)):
        assert np.abs(frame[8, column, :3] - colour).max() <= tolerance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "format"),
    [("a.png", "PNG"), ("a.jpg", "JPEG"), ("A.JPEG", "JPEG"), ("a.webp", "WEBP")],
)
def test_a_picture_is_what_its_ending_says(tmp_path, name, format, kind):
    save_png(tmp_path / name, halves(kind))
    with Image.open(tmp_path / name) as image:
        assert image.format == format
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
    assert_green_and_white(white, 6)


MOVING = [
    *((save_animation, name, kind) for name in ("a.webp", "a.gif") for kind in KINDS),
    (save_animation, "a.mp4", "RGBA"),
    (save_video, "a.gif", "RGBA"),
    (save_video, "a.mp4", "RGBA bytes"),
]
STARTS = {"a.webp": b"RIFF", "a.gif": b"GIF89a"}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize(("save", "name", "kind"), MOVING)
def test_a_moving_picture_is_what_its_ending_says(tmp_path, save, name, kind):
    save(tmp_path / name, iter([halves(kind), np.full((16, 16, 3), 0.5)]), fps=10)
    data = (tmp_path / name).read_bytes()
    assert data.startswith(STARTS[name]) if name in STARTS else data[4:8] == b"ftyp"
    frames = imageio.mimread(tmp_path / name)
    gc.collect()
    assert len(frames) == 2
    assert_green_and_white(frames[0], 8 if name in STARTS else 20)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_target_comes_back_as_it_was(tmp_path):
    target = tfnca.lizard(size=20)
    save_png(tmp_path / "target.png", target)
    np.testing.assert_allclose(tfnca.load_target(tmp_path / "target.png", 20), target, atol=0.01)


NO_PICTURES = {
    "no picture": (np.zeros((3, 3, 2)), "A picture must have"),
    "an empty one": (np.zeros((0, 3, 3)), "A picture must have"),
    "a batch": (np.zeros((1, 3, 3, 3)), "A picture must have"),
    "whole numbers": (np.zeros((3, 3, 3), int), "A picture must have"),
    "bytes as floats": (np.full((3, 3, 3), 255.0), "divide bytes by 255"),
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_what_is_no_picture_is_refused(tmp_path, name):
    picture, message = NO_PICTURES[name]
    with pytest.raises(ValueError, match=message):
        save_png(tmp_path / "a.png", picture)
    for save, ending in ((save_video, "mp4"), (save_animation, "webp")):
        with pytest.raises(ValueError, match=message):
            save(tmp_path / f"a.{ending}", [picture])
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path):
    frame = np.zeros((16, 16, 3))
    for save, name in ((save_png, "a.gif"), (save_png, "a"), (save_video, "a.png")):
        with pytest.raises(ValueError, match=f"must end with one of .*Received: .*{name}"):
            save(tmp_path / name, frame if save is save_png else [frame])
    for save, name in ((save_video, "a.mp4"), (save_animation, "a.gif")):
        with pytest.raises(ValueError, match="at least one frame"):
            save(tmp_path / name, [])
        with pytest.raises(ValueError, match="of one size"):
            save(tmp_path / name, [frame, frame[:8]])
        with pytest.raises(ValueError, match="fps must"):
            save(tmp_path / name, [frame], fps=0)
    assert list(tmp_path.iterdir()) == []


def test_tiles_of_bytes_and_of_clear_pictures(tmp_path):
    for kind in KINDS:
        np.testing.assert_allclose(tile([halves(kind)] * 2), tile([halves("floats")] * 2))
    for arguments, message in (
        ({"images": np.zeros((0, 3, 3, 3))}, "images must have"),
        ({"images": np.zeros((2, 3, 3, 3)), "columns": 0}, "columns must be"),
    ):
        with pytest.raises(ValueError, match=message):
            tile(**arguments)


def test_digits_need_labels_and_masks_of_their_own():
    for arguments, message in (
        ((np.zeros((1, 4, 4, 3)),), "state must be an MNIST CA's"),
        ((cells(3, 4), [3, 4]), "labels must have shape"),
        ((cells(3, 4), None, np.zeros((1, 1, 1))), "mask must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            digits_to_rgb(*arguments)
