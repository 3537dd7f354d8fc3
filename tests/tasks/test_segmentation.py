"""The task of marking a part of an image, by the sign of channel 1."""

import keras
import numpy as np
import pytest
from foreign import foreign

import tfnca
from tfnca.tasks.segmentation import dice, enlarged

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((3, 6, 8)).astype(np.float32)
MASKS = IMAGES > 0.5
STATE = RANDOM.normal(size=(3, 6, 8, 4)).astype(np.float32)


def task(**kwargs):
    return tfnca.SegmentationTask(IMAGES, MASKS, **kwargs)


def batch(**kwargs):
    return tfnca.Batch(state=STATE, labels=MASKS.astype(np.float32), **kwargs)


def segmenter():
    return tfnca.NeuralCA(channels=4, hidden=8, padding="reflect", fixed=1)


def test_a_start_is_the_images_in_order_and_their_masks():
    start = task().start(4, channels=4)
    assert start.state.shape == (4, 6, 8, 4)
    np.testing.assert_array_equal(start.state[3, ..., 0], IMAGES[0])
    assert not start.state[..., 1:].any()
    np.testing.assert_array_equal(start.labels[:3], MASKS)


def test_given_states_keep_all_but_the_image():
    start = task(states=STATE).start(3, channels=4)
    np.testing.assert_array_equal(start.state[..., 0], IMAGES)
    np.testing.assert_array_equal(start.state[..., 1:], STATE[..., 1:])
    with pytest.raises(ValueError, match="has 5 channels, and the task's states 4"):
        task(states=STATE).begin(tfnca.NeuralCA(channels=5), 1)


@pytest.mark.parametrize("says", [None, False, True])
def test_the_error_is_the_cross_entropy(says):
    expected = MASKS if says is None else np.full_like(MASKS, says)
    said = 1 / (1 + np.exp(-STATE[..., 1].astype(np.float64)))
    cells = -np.log(np.where(expected, said, 1 - said))
    found = task(says=says)
    np.testing.assert_allclose(found.cell_errors(STATE, batch()), cells, rtol=1e-4)
    np.testing.assert_allclose(found.error(STATE, batch()), cells.mean((1, 2)), rtol=1e-4)


def test_the_error_of_very_sure_cells_is_finite():
    sure = np.full((1, 1, 2, 2), 1e6, np.float32)
    labels = tfnca.Batch(labels=np.array([[[1.0, 0.0]]], np.float32))
    one = tfnca.SegmentationTask(np.zeros((1, 1, 2)), np.zeros((1, 1, 2)))
    np.testing.assert_allclose(one.cell_errors(sure, labels), [[[0.0, 1e6]]])


def test_dice():
    marked = np.array([1, 1, 1, 0, 0], bool)
    mask = np.array([0, 0, 1, 1, 0], bool)
    assert dice(marked, mask) == pytest.approx(2 * 1 / (3 + 2))
    assert dice(mask, mask) == dice(~mask & mask, ~mask & mask) == 1.0
    assert dice(mask, ~mask) == 0.0


def test_measures_leave_the_adversaries_out():
    marked = STATE[..., 1] > 0
    mask = (RANDOM.random(MASKS.shape) < 0.3).astype(np.float32)
    row = task().measures(STATE, batch(mask=mask))
    assert row["dice"] == pytest.approx(dice(marked, MASKS))
    hosts = mask == 0
    assert row["host_dice"] == pytest.approx(dice(marked[hosts], MASKS[hosts]))
    assert row["host_dice"] != row["dice"]
    assert "host_dice" not in task().measures(STATE, batch())


def test_success():
    state = STATE.copy()
    state[..., 1] = np.where(MASKS, 1.0, -1.0)
    state[1, ..., 1] *= -1
    assert task().success(state, batch()).tolist() == [True, False, True]
    silent = np.where(np.arange(3)[:, None, None] == 2, state[..., 1], -1.0)
    state[..., 1] = silent
    assert task(says=False).success(state, batch()).tolist() == [True, True, False]


def test_a_picture_shows_image_and_marks():
    picture = task().picture(task().start(3, channels=4).state)
    np.testing.assert_allclose(picture, IMAGES[..., None].repeat(3, -1), rtol=1e-6)
    marked = task().picture(STATE)[STATE[..., 1] > 0]
    assert (marked[:, 0] > marked[:, 1]).all()


def test_enlarged_repeats_cells():
    found = enlarged(STATE, 2)
    assert found.shape == (3, 12, 16, 4)
    np.testing.assert_array_equal(found[:, 1::2, ::2], STATE)


def test_every_item_of_the_pool_begins_anew():
    step = tfnca.Injected(segmenter(), segmenter())
    pool = task(states=STATE).pool(step, batch_size=3, density=0.3)
    first, second = (pool.draw(0, index, task().error) for index in (0, 1))
    pool.put(first, first.state + 9.0)
    for drawn in (first, second, pool.draw(0, 2, task().error)):
        np.testing.assert_array_equal(
            np.asarray(drawn.state)[..., 1:], STATE[np.asarray(drawn.slots)][..., 1:]
        )
        np.testing.assert_array_equal(drawn.labels, MASKS[np.asarray(drawn.slots)])
    assert 0.1 < np.mean(first.mask) < 0.5
    assert np.any(np.asarray(first.mask) != np.asarray(second.mask))


def test_a_segmenter_and_its_attack_are_trained():
    keras.utils.set_random_seed(0)
    host, losses = segmenter(), []
    for step, aim in (
        (host, task()),
        (tfnca.Injected(host, segmenter()), task(says=False)),
    ):
        trainer = tfnca.Trainer(step, task=aim, steps=4)
        trainer.compile(keras.optimizers.Adam(3e-2))
        losses = trainer.fit(epochs=8, steps_per_epoch=5, verbose=0).history["loss"]
        assert losses[-1] < 0.97 * losses[0]


def test_its_configuration_restores_it():
    config = task(states=STATE, says=False, least=0.25).get_config()
    copy = tfnca.SegmentationTask.from_config(config)
    np.testing.assert_array_equal(copy.states, STATE)
    assert copy.get_config() == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": IMAGES[0]}, "one shape"),
        ({"masks": MASKS[:2]}, "one shape"),
        ({"states": STATE[:2]}, "begin with the shape of images"),
        ({"says": 2}, "says must be"),
        ({"least": 1.5}, "least in"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        tfnca.SegmentationTask(**{"images": IMAGES, "masks": MASKS} | arguments)


@pytest.mark.originals
@pytest.mark.slow
def test_the_published_med_nca(monkeypatch):
    """Its two stages on a volume of the Medical Segmentation Decathlon."""
    monkeypatch.syspath_prepend("benchmarks")
    import segmentation

    folder = foreign() / "medseg"
    images, masks = segmentation.load_slices(folder, segmentation.SIZE)
    assert images.shape == masks.shape == (25, 64, 64)
    coarse, fine = segmentation.load_models(folder)
    aim = segmentation.fine_task(coarse, images, masks, seed=0)
    _, row = segmentation.measure(fine, aim, seed=0)
    assert row["dice"] == pytest.approx(0.72, abs=0.05)
    _, transposed = segmentation.measure(
        fine, segmentation.fine_task(coarse, images.swapaxes(1, 2), masks.swapaxes(1, 2), 0), 0
    )
    assert transposed["dice"] < 0.05
