"""The task of a texture: its error is the distance of patches, and it trains."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from descriptors import shuffled

import tfnca
from tfnca.data.patches import sliced_wasserstein

STRIPES = np.tile([0.2, 0.2, 0.8, 0.8], 6)[None, :, None] * np.ones((20, 1, 3))


def as_state(picture, channels=5):
    state = np.zeros((1, *picture.shape[:2], channels), np.float32)
    state[0, ..., :3] = 2 * picture - 1
    return state


def error(task, picture):
    return float(task.error(as_state(picture), tfnca.Batch())[0])


def test_the_error_is_the_distance_of_patches_at_each_spacing():
    other = np.random.default_rng(0).random((20, 24, 3)).astype(np.float32)
    one = tfnca.TextureTask(STRIPES, size=12, spacings=(1,))
    expected = sliced_wasserstein(other, one.example, projections=64, seed=0)
    assert error(one, other) == pytest.approx(expected, rel=1e-5)
    two, both = (tfnca.TextureTask(STRIPES, size=12, spacings=each) for each in ((3,), (1, 3)))
    squares = np.square([error(one, other), error(two, other)])
    assert error(both, other) == pytest.approx(np.sqrt(squares.mean()), rel=1e-5)
    assert error(two, other) != pytest.approx(error(one, other), rel=0.01)


def test_the_same_texture_in_other_places_is_right_and_another_is_not():
    task = tfnca.TextureTask(STRIPES, size=20)
    assert error(task, task.example) < 1e-5
    assert error(task, np.roll(task.example, 1, axis=1)) < 0.07
    assert error(task, task.example.swapaxes(0, 1)) > 0.1


def test_it_can_be_differentiated_at_the_example_too():
    task = tfnca.TextureTask(STRIPES, size=20)
    for picture in (task.example, np.full((20, 24, 3), 0.5)):
        state = tf.constant(as_state(picture))
        with tf.GradientTape() as tape:
            tape.watch(state)
            loss = task.error(state, tfnca.Batch())
        gradient = tape.gradient(loss, state).numpy()
        assert np.isfinite(gradient).all()
        assert not gradient[..., 3:].any()
    step = state - 0.1 * gradient / np.abs(gradient).max()
    assert task.error(step, tfnca.Batch()) < loss


def test_colours_are_not_clipped_and_pictures_are():
    task = tfnca.TextureTask(STRIPES, size=12)
    state = np.full((1, 12, 12, 5), 2.0, np.float32)
    assert float(task.readout(state).max()) == 1.5
    assert task.picture(state).max() == 1.0


def test_it_trains_a_texture_and_both_attacks_on_it():
    task = tfnca.TextureTask(STRIPES, size=12)
    task.settled = 8
    host = tfnca.NeuralCA(channels=5, hidden=8, padding="circular", state_clip=2.0)
    host = shuffled(host, seed=0, scale=0.2)
    for step in (host, tfnca.Perturbed(host), tfnca.Injected(host, host)):
        before = step.trained.get_weights()
        trainer = tfnca.Trainer(step, task=task, steps=6)
        trainer.compile(keras.optimizers.Adam(2e-2))
        losses = trainer.fit(task.pool(step, 8, 2), 5, 2, verbose=0).history["loss"]
        assert np.isfinite(losses).all()
        assert step is not host or min(losses[1:]) < losses[0]
        for old, new in zip(before, step.trained.get_weights(), strict=True):
            assert not np.allclose(old, new)


def test_its_measures_have_the_distance():
    task = tfnca.TextureTask(STRIPES, size=20)
    row = task.measures(as_state(np.full((20, 24, 3), 0.5)), tfnca.Batch())
    expected = sliced_wasserstein(np.full((20, 24, 3), 0.5), task.example)
    assert row["distance"] == pytest.approx(expected)
    assert row["success"] == 0.0
    assert task.measures(as_state(task.example), tfnca.Batch())["success"] == 1.0


def test_it_describes_itself():
    task = tfnca.TextureTask(STRIPES, size=12, spacings=(1, 2), tolerance=0.1)
    copy = tfnca.TextureTask.from_config(task.get_config())
    assert error(copy, STRIPES[:, ::-1] ** 2) == error(task, STRIPES[:, ::-1] ** 2)
    assert (copy.size, copy.tolerance) == (12, 0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"example": np.zeros((20, 20))}, r"example must be an RGB picture .* shape=\(20, 20\)"),
        ({"example": np.zeros((20, 20, 4))}, r"example must be an RGB picture"),
        ({"example": np.full((20, 20, 3), 1.1)}, r"in \[0, 1\]"),
        ({"example": np.full((20, 20, 3), np.nan)}, r"in \[0, 1\]"),
        ({"example": np.zeros((8, 20, 3))}, "at least 9 by 9 pixels"),
        ({"size": 8}, "size"),
        ({"spacings": (0,)}, "spacings"),
        ({"spacings": ()}, "spacings"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        tfnca.TextureTask(**{"example": STRIPES, **arguments})


def test_a_step_without_colours_is_refused():
    with pytest.raises(ValueError, match="2 channels"):
        tfnca.Trainer(tfnca.NeuralCA(channels=2), task=tfnca.TextureTask(STRIPES))
