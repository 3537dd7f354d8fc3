"""The losses against loops in NumPy, and their mistakes by name."""

import numpy as np
import pytest
import tensorflow as tf

import tfnca
from tfnca.training.losses import pattern_centres

SHAPE = (3, 5, 6)
LABELS = np.array([3, 8, 0])


def digit_states():
    """Random states with some dead cells that speak, and a last item without any living cell."""
    random = np.random.default_rng(0)
    state = random.normal(size=(*SHAPE, 20)).astype(np.float32)
    state[..., 0] = random.choice([0.0, 0.0999, 0.11, 1.0], SHAPE)
    state[2, ..., 0] = 0.05
    return state


def picture(random):
    """A random premultiplied picture."""
    target = random.random((*SHAPE[1:], 4)).astype(np.float32)
    target[..., :3] *= target[..., 3:]
    return target


def test_target_loss_is_the_mean_squared_rgba_error():
    random = np.random.default_rng(0)
    state, target = random.normal(size=(*SHAPE, 16)), picture(random)
    expected = np.zeros(SHAPE[0])
    for i, y, x, c in np.ndindex(*SHAPE, 4):
        expected[i] += (state[i, y, x, c] - target[y, x, c]) ** 2 / (SHAPE[1] * SHAPE[2] * 4)
    np.testing.assert_allclose(tfnca.TargetLoss(target)(state.astype(np.float32)), expected, 1e-5)


def test_an_adversarys_own_cells_may_count_less():
    random = np.random.default_rng(0)
    target = picture(random)
    state = random.normal(size=(*SHAPE, 16)).astype(np.float32)
    mask = random.choice([0.0, 1.0], SHAPE).astype(np.float32)
    errors = np.square(state[..., :4] - target).mean(-1)
    for weight in (0.0, 0.25, 1.0):
        expected = np.where(mask == 1, weight, 1.0) * errors
        loss = tfnca.TargetLoss(target, own_weight=weight)
        np.testing.assert_allclose(loss(state, tfnca.Batch(mask=mask)), expected.mean((1, 2)), 1e-5)
        np.testing.assert_allclose(loss(state), errors.mean((1, 2)), 1e-5)


def test_a_pattern_that_moves_costs_more():
    target = np.zeros((9, 12, 4), np.float32)
    state = np.zeros((4, 9, 12, 16), np.float32)
    state[:3, 2:5, 3:8, 3] = 1.0
    state[:2, 2, 3, 3] = 7.0  # clipped: an opaque cell weighs no more than another
    np.testing.assert_allclose(pattern_centres(state), [[3, 5]] * 3 + [[0, 0]])
    places = np.array([[3.0, 5.0], [1.0, 4.5], [-1.0, -1.0], [-1.0, -1.0]], np.float32)
    before = tfnca.Batch(centres=places)
    plain = np.asarray(tfnca.TargetLoss(target)(state, before))
    np.testing.assert_allclose(plain, tfnca.TargetLoss(target)(state))
    loss = tfnca.TargetLoss(target, drift_penalty=0.1)
    np.testing.assert_allclose(loss(state), plain)
    np.testing.assert_allclose(loss(state, before) - plain, [0, 0.1 * 4.25, 0, 0], atol=1e-5)
    state = tf.constant(state)
    with tf.GradientTape() as tape:
        tape.watch(state)
        total = tf.reduce_sum(loss(state, before))
    assert np.isfinite(tape.gradient(total, state)).all()


def test_what_leaves_the_bound_costs_its_mean_excess():
    random = np.random.default_rng(0)
    state = random.normal(scale=2.0, size=(*SHAPE, 16)).astype(np.float32)
    target = picture(random)
    plain = np.asarray(tfnca.TargetLoss(target)(state))
    excess = np.zeros(SHAPE[0])
    for index in np.ndindex(state.shape):
        excess[index[0]] += max(abs(float(state[index])) - 2.5, 0.0) / state[0].size
    assert excess.min() > 0.01
    loss = tfnca.TargetLoss(target, overflow=0.1, bound=2.5)
    np.testing.assert_allclose(loss(state) - plain, 0.1 * excess, rtol=1e-4)
    inside = np.clip(state, -2.5, 2.5)
    np.testing.assert_allclose(loss(inside), tfnca.TargetLoss(target)(inside), rtol=1e-6)


def oracle(kind, state, labels):
    losses = []
    for item, label in zip(state.astype(np.float64), labels, strict=True):
        total, living = 0.0, 0
        for cell in item.reshape(-1, 20):
            alive = cell[0] > 0.1
            living += alive
            logits = cell[10:]
            if kind == "l2":
                wanted = np.zeros(10)
                wanted[label] = alive
                total += 0.5 * np.sum((wanted - logits) ** 2)
            elif alive:
                total += np.log(np.sum(np.exp(logits))) - logits[label]
        losses.append(total if kind == "l2" else total / max(living, 1))
    return losses


@pytest.mark.parametrize("digit", [None, 8])
@pytest.mark.parametrize("kind", ["l2", "cross_entropy"])
def test_class_loss(kind, digit):
    state = digit_states()
    labels = LABELS if digit is None else [digit] * 3
    losses = tfnca.ClassLoss(kind, digit)(state, tfnca.Batch(labels=LABELS))
    np.testing.assert_allclose(losses, oracle(kind, state, labels), rtol=1e-5)
    # Only those labelled 8 anyway are as well off.
    same = np.isclose(losses, oracle(kind, state, LABELS), rtol=1e-5)
    assert list(same[:2]) == ([True, True] if digit is None else [False, True])


def test_the_gradient_of_the_l2_loss_is_the_error():
    state = tf.constant(digit_states())
    with tf.GradientTape() as tape:
        tape.watch(state)
        loss = tf.reduce_sum(tfnca.ClassLoss()(state, tfnca.Batch(labels=LABELS)))
    expected = np.zeros(state.shape)
    expected[..., 10:] = state[..., 10:]
    for i, label in enumerate(LABELS):
        expected[i, ..., 10 + label] -= np.where(state[i, ..., 0] > 0.1, 1, 0)
    np.testing.assert_allclose(tape.gradient(loss, state), expected, atol=1e-6)


@pytest.mark.parametrize(
    "mistake",
    [
        (lambda: tfnca.TargetLoss(np.zeros((5, 6, 3))), "target must be RGBA.*5, 6, 3"),
        (lambda: tfnca.TargetLoss(np.zeros((1, 5, 6, 4))), "target must be RGBA.*1, 5, 6, 4"),
        (lambda: tfnca.TargetLoss(np.full((5, 6, 4), np.nan)), "target must be finite"),
        (
            lambda: tfnca.TargetLoss(np.zeros((5, 6, 4)))(tfnca.seed_state(6)),
            r"5, 6.*Received.*6, 6",
        ),
        (lambda: tfnca.TargetLoss(np.zeros((5, 6, 4)), 1.5), "own_weight.*Received.*1.5"),
        (lambda: tfnca.TargetLoss(np.zeros((5, 6, 4)), np.nan), "own_weight.*Received.*nan"),
        (lambda: tfnca.TargetLoss(np.zeros((5, 6, 4)), overflow=-1), "overflow.*Received.*-1"),
        (lambda: tfnca.TargetLoss(np.zeros((5, 6, 4)), bound=0), "bound must.*Received.*0"),
        (
            lambda: tfnca.TargetLoss(np.zeros((5, 6, 4)), drift_penalty=-1),
            "drift_penalty.*Received.*-1",
        ),
        (
            lambda: tfnca.TargetLoss(np.zeros((5, 6, 4)), drift_penalty=np.nan),
            "drift_penalty.*Received.*nan",
        ),
        (lambda: tfnca.TargetLoss(np.full((5, 6, 4), 255)), "divide bytes by 255.*from 255 to 255"),
        (lambda: tfnca.TargetLoss(np.full((5, 6, 4), -0.5)), r"be in \[0, 1\]. Received: .*-0.5"),
        (
            lambda: tfnca.TargetLoss(np.zeros((6, 6, 4)))(tfnca.seed_state(6), LABELS),
            "takes states and a Batch.*Received: ndarray",
        ),
        (lambda: tfnca.ClassLoss()(digit_states(), LABELS), "a Batch.*Received: ndarray"),
        (
            lambda: tfnca.ClassLoss()(digit_states(), tfnca.Batch()),
            "needs the digits' labels.*Received: a batch without labels",
        ),
        (lambda: tfnca.ClassLoss("l1"), "kind must be.*Received: kind='l1'"),
        (lambda: tfnca.ClassLoss(digit=10), "digit must be in 0 to 9.*Received: digit=10"),
        (lambda: tfnca.ClassLoss(digit=-1), "Received: digit=-1"),
        (lambda: tfnca.ClassLoss(digit=2.5), "Received: digit=2.5"),
    ],
)
def test_mistakes_are_named(mistake):
    call, message = mistake
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("kind", tfnca.ClassLoss.KINDS)
def test_cells_off_the_mask_may_count_nothing(kind):
    state = np.array(tfnca.digit_state(np.ones((1, 4, 4))))
    state[..., -10:] = np.random.default_rng(0).normal(size=(1, 4, 4, 10))
    mask = np.zeros((1, 4, 4), np.float32)
    mask[:, :2] = 1
    batch = tfnca.Batch(labels=np.array([3]), mask=mask)
    changed = state.copy()
    changed[:, 2:, :, -10] += 1.0
    for weight in (0.0, 1.0):
        loss = tfnca.ClassLoss(kind, others_weight=weight)
        before, after = (float(loss(values, batch)[0]) for values in (state, changed))
        assert (abs(before - after) < 1e-6) == (weight == 0)
    with pytest.raises(ValueError, match="others_weight"):
        tfnca.ClassLoss(others_weight=2)
