"""Pictures: colours, tiles, files."""

import gc

import imageio.v2 as imageio
import numpy as np
import pytest
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
WRONG = (255, 204, 201)


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


def test_the_background_is_white_or_red_where_the_digit_is_wrong():
    state = cells(3, 3, 5, 5, 5)
    state[0, 0, 4, 0] = 0.0
    stroke = [ARTICLE[3], ARTICLE[3], ARTICLE[5], ARTICLE[5]]
    white = (255, 255, 255)
    assert colours(state) == [*stroke, white]
    assert colours(state, [3]) == [*stroke, white]  # half is right
    assert colours(state, [4]) == [*stroke, WRONG]
    state[0, 0, 1, 10:] = np.eye(10)[5]
    assert colours(state, [3])[-1] == WRONG


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
