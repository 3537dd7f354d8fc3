"""The steps against an oracle in plain NumPy, and the properties the article gives them."""

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from conftest import gradients, random_draws
from descriptors import (
    LAYERS,
    LIZARDS,
    STEPS,
    counted,
    random_masks,
    random_state,
    shuffled,
    symmetric,
)

import tfnca
from tfnca.automata.checks import check_density
from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.verified import Verified

SHAPE = (2, 6, 7)


def oracle_ca(ca, grid, fire, noise):
    weights = [weight.astype(np.float64) for weight in ca.get_weights()]
    if isinstance(ca, MNISTCA):
        return oracle.mnist(grid, weights, fire, noise)
    return oracle.growing(grid, weights, fire, ca.angle, ca.step_size)


def oracle_step(step, grid, mask, fires, noises):
    """A step of any kind: the next grid, and the way back to the grid and the trained weights."""
    if isinstance(step, Perturbed):
        kind = getattr(oracle, step.perturbation.kind)
        first = kind(grid, step.perturbation.get_weights()[0].astype(np.float64))
        following, back = oracle.chain(
            first, lambda between: oracle_step(step.host, between, mask, fires, noises)
        )

        def back_to_matrix(upstream):
            of_grid, (of_matrix, _) = back(upstream)
            return of_grid, of_matrix

        return following, back_to_matrix
    results = [
        oracle_ca(ca, grid, fire, noise)
        for ca, fire, noise in zip(step.networks, fires, noises, strict=True)
    ]
    if not isinstance(step, Injected):
        return results[0]
    mixed = oracle.injected(mask, *results)
    if isinstance(step, Verified):
        silence = np.zeros((*grid.shape[:2], grid.shape[2] - 1))
        by_the_rule, _ = oracle_ca(step.host, grid, np.ones(grid.shape[:2]), silence)
        return oracle.verified(grid, mixed, by_the_rule, step.tolerance * step.host.noise_std)
    return mixed


def oracle_rollout(step, grid, upstream, fire_masks, noise=None, mask=None):
    """The final grid and the gradients: of the first grid, then of each trained weight."""
    grid, upstream = grid.astype(np.float64), upstream.astype(np.float64)
    backs = []
    for t, fires in enumerate(fire_masks):
        noises = [None] * len(fires) if noise is None else noise[t]
        grid, back = oracle_step(step, grid, mask, fires, noises)
        backs.append(back)
    totals = [np.zeros(weight.shape) for weight in step.trained.weights]
    for back in reversed(backs):
        upstream, sums = back(upstream)
        totals = [total + part for total, part in zip(totals, sums, strict=True)]
    return [grid, upstream, *totals]


def close(ours, expected, tolerance=1e-5):
    """Asserts equality up to a fraction of the largest expected value, which is not zero."""
    largest = np.abs(expected).max()
    assert largest > 1e-3
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("weights", ["counted", "random"])
@pytest.mark.parametrize("name", STEPS)
def test_values_and_gradients_are_the_oracles(name, weights, engine):
    step, steps = LAYERS[name](), 3
    if weights == "random":
        for seed, ca in enumerate(step.networks):
            shuffled(ca, seed)
    state, draws = random_state(step, SHAPE), random_draws(step, SHAPE, steps)
    upstream = np.random.default_rng(5).normal(size=state.shape).astype(np.float32)
    final, of_state, *of_weights = gradients(
        lambda x: tfnca.rollout(step, x, steps, engine=engine, seed=0, **draws),
        step,
        state,
        upstream,
    )

    of_item = {"mask": lambda mask, i: mask[i], "fire_masks": lambda fires, i: fires[:, :, i]}
    of_item["noise"] = of_item["fire_masks"]
    expected_of_weights = [np.zeros_like(gradient) for gradient in of_weights]
    for i in range(len(state)):
        given = {key: of_item[key](np.asarray(value), i) for key, value in draws.items()}
        expected, expected_of_state, *sums = oracle_rollout(step, state[i], upstream[i], **given)
        close(final[i], expected)
        close(of_state[i], expected_of_state)
        for total, part in zip(expected_of_weights, sums, strict=True):
            total += part
    for ours, expected in zip(of_weights, expected_of_weights, strict=True):
        close(ours, expected)


@pytest.mark.parametrize("name", STEPS)
def test_the_oracles_gradients_are_those_of_its_values(name):
    step = LAYERS[name]()
    random = np.random.default_rng(0)
    grid = random_state(step, SHAPE)[0].astype(np.float64)
    upstream, direction = random.normal(size=(2, *grid.shape))
    draws = {key: np.asarray(value) for key, value in random_draws(step, SHAPE, 1).items()}
    mask = draws["mask"][0] if "mask" in draws else None
    noises = draws["noise"][0, :, 0] if "noise" in draws else [None] * len(step.networks)

    def run(grid):
        return oracle_step(step, grid, mask, draws["fire_masks"][0, :, 0], noises)

    of_grid, _ = run(grid)[1](upstream)
    difference = run(grid + 1e-6 * direction)[0] - run(grid - 1e-6 * direction)[0]
    np.testing.assert_allclose(
        np.sum(of_grid * direction), np.sum(difference * upstream) / 2e-6, rtol=1e-5
    )


def test_parameter_counts():
    assert GrowingCA().count_params() == 8_336
    assert MNISTCA().count_params() == 22_499


# Injection


@pytest.mark.parametrize("name", ["Injected", "Injected MNISTCA"])
def test_a_mask_of_zeros_is_the_host_and_of_ones_the_adversary(name):
    step = LAYERS[name]()
    state = random_state(step, SHAPE)
    draws = {"seed": 3, "index": 5}
    host = step.host(state, **draws).numpy()
    adversary = step.adversary(state, network=1, **draws).numpy()
    assert np.abs(host - adversary).max() > 0.1
    mask = np.asarray(random_masks(step, SHAPE)["mask"])
    np.testing.assert_array_equal(step(state, mask=np.zeros(SHAPE), **draws), host)
    np.testing.assert_array_equal(step(state, **draws), host)
    np.testing.assert_array_equal(step(state, mask=np.ones(SHAPE), **draws), adversary)
    mixed = step(state, mask=mask, **draws).numpy()
    np.testing.assert_array_equal(mixed[mask == 1], adversary[mask == 1])
    np.testing.assert_array_equal(mixed[mask == 0], host[mask == 0])


def test_host_and_adversary_draw_their_own_fire_masks_and_noise():
    ca = MNISTCA(noise_std=0.5)
    state = tfnca.digit_state(np.ones(SHAPE))
    as_host = ca(state, seed=0, index=0, network=0).numpy()
    as_adversary = ca(state, seed=0, index=0, network=1).numpy()
    fired = [np.any(after != state, axis=-1) for after in (as_host, as_adversary)]
    assert 0.3 < np.mean(fired[0] != fired[1]) < 0.7
    both = fired[0] & fired[1]
    assert not np.any(as_host[both][:, 1:] == as_adversary[both][:, 1:])


# MatrixPerturbation


def test_the_identity_matrix_is_the_host_while_states_stay_within_the_bound():
    host = counted(GrowingCA())
    state = random_state(host, SHAPE)
    state *= tfnca.living_mask(state).numpy()  # the perturbation clears dead cells
    state /= np.abs(state).max() / 3
    perturbed = Perturbed(host)(state, seed=1, index=2)
    np.testing.assert_allclose(perturbed, host(state, seed=1, index=2), atol=1e-6)
    assert np.abs(MatrixPerturbation()(2 * state)).max() == 3


def test_the_matrix_stays_symmetric_in_training():
    step = LAYERS["Perturbed"]()
    before = step.perturbation.matrix.numpy()
    optimizer = keras.optimizers.SGD(0.1)
    for seed in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(step(random_state(step, SHAPE), seed=seed, index=0) ** 2)
        optimizer.apply(
            tape.gradient(loss, [step.perturbation.variable.value]), [step.perturbation.variable]
        )
    after = step.perturbation.matrix.numpy()
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_array_equal(after, after.T)


def test_only_the_upper_triangle_counts():
    perturbation = MatrixPerturbation()
    perturbation.variable.assign(np.arange(256.0).reshape(16, 16))
    matrix = perturbation.matrix.numpy()
    np.testing.assert_array_equal(matrix, matrix.T)
    assert matrix[2, 5] == matrix[5, 2] == 2 * 16 + 5


def test_scaled_combined_and_spectrum():
    matrices = symmetric(1), symmetric(2)
    a, b = (MatrixPerturbation(matrix=matrix) for matrix in matrices)
    identity = np.eye(16)
    for k in (0, 0.5, 1, -1, 2):
        expected = k * matrices[0] + (1 - k) * identity
        np.testing.assert_allclose(a.scaled(k).matrix, expected, atol=1e-6)
        np.testing.assert_allclose(
            a.scaled(k).spectrum(), np.sort(1 + k * (a.spectrum() - 1)), atol=1e-5
        )
    np.testing.assert_allclose(
        tfnca.combine([(a, 0.5), (b, 2)]).matrix,
        0.5 * matrices[0] + 2 * matrices[1] - 1.5 * identity,
        atol=1e-6,
    )
    np.testing.assert_allclose(a.spectrum(), np.linalg.eigvalsh(matrices[0]), atol=1e-5)
    np.testing.assert_array_equal(a.matrix, matrices[0])  # neither changes its parts


# Life and death


@pytest.mark.parametrize("name", LIZARDS)
def test_a_dead_grid_stays_dead_and_empty(name):
    layer = LAYERS[name]()
    state = random_state(layer, SHAPE)
    # Not above the threshold; in an invasion, below it.
    state[..., getattr(layer, "alphas", [3])] = 0.09 if name == "Invasion" else 0.1
    assert np.all(LAYERS[name].call(layer, state) == 0)


def test_life_spreads_one_cell_a_step_at_most(engine):
    ca = counted(GrowingCA(fire_rate=1.0))
    ca.update_layers[-1].bias.assign(np.ones(16))  # every cell wants to live
    for steps in (1, 3):
        state = tfnca.rollout(ca, tfnca.seed_state(11), steps, engine=engine, seed=0).numpy()[0]
        alive = np.zeros((11, 11), bool)
        alive[5 - steps : 6 + steps, 5 - steps : 6 + steps] = True
        np.testing.assert_array_equal(np.any(state != 0, axis=-1), alive)


def test_a_dead_cell_that_fires_keeps_its_neighbours_alive(engine):
    """A trap: a cell outside the living ones counts in the mask afterwards."""
    ca = GrowingCA()
    for weight in ca.weights:
        weight.assign(np.zeros(weight.shape))
    ca.update_layers[0].kernel.assign(np.eye(48, 128))  # hidden unit 3c is channel c itself
    alpha_from_alpha = np.zeros((128, 16))
    alpha_from_alpha[9, 3] = -1.5
    ca.update_layers[1].kernel.assign(alpha_from_alpha)
    ca.update_layers[1].bias.assign(0.5 * np.eye(16)[3])  # alpha 1 becomes 0, alpha 0 becomes .5
    state = np.zeros((1, 9, 9, 16), np.float32)
    state[0, 4, 4, 3] = 1.0
    state[..., 8] = 1.0
    fire_masks = np.zeros((1, 1, 1, 9, 9))
    fire_masks[..., 4, 4] = 1
    assert np.all(tfnca.rollout(ca, state, 1, engine=engine, fire_masks=fire_masks, seed=0) == 0)
    fire_masks[..., 2, 4] = 1  # two cells away: dead, and dead it stays
    after = tfnca.rollout(ca, state, 1, engine=engine, fire_masks=fire_masks, seed=0).numpy()[0]
    expected = np.zeros((9, 9, 16), np.float32)
    expected[3, 3:6, 8] = 1.0
    np.testing.assert_array_equal(after, expected)


def test_each_network_judges_life_by_its_own_update(engine):
    """A trap: the host's neighbours die of what the host would have done."""
    killer, keeper = GrowingCA(), GrowingCA()
    killer.update_layers[1].bias.assign(-1.0 * np.eye(16)[3])
    state = np.zeros((1, 5, 5, 16), np.float32)
    state[0, 2, 2, 3] = 1.0
    state[..., 8] = 1.0
    mask = np.zeros((1, 5, 5))
    mask[0, 2, 2] = 1
    fires = np.ones((1, 2, 1, 5, 5))
    expected = np.zeros((5, 5, 16), np.float32)
    expected[2, 2, [3, 8]] = 1.0
    after = tfnca.rollout(
        Injected(killer, keeper), state, 1, mask=mask, engine=engine, fire_masks=fires, seed=0
    )
    np.testing.assert_array_equal(after[0], expected)
    # The other way round the adversary dies and the host's eight cells live on.
    after = tfnca.rollout(
        Injected(keeper, killer), state, 1, mask=mask, engine=engine, fire_masks=fires, seed=0
    )
    expected[1:4, 1:4, 8] = 1.0
    expected[2, 2] = 0.0
    np.testing.assert_array_equal(after[0], expected)


@pytest.mark.parametrize("name", STEPS)
def test_padding_changes_nothing(name, engine):
    step, steps, pad = LAYERS[name](), 3, 4
    inner = np.zeros((2, 14, 13, step.channels), np.float32)
    inner[:, 5:9, 5:8] = random_state(step, (2, 4, 3))
    draws = random_draws(step, (2, 14 + 2 * pad, 13 + 2 * pad), steps)
    padded = np.pad(inner, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = slice(pad, -pad), slice(pad, -pad)
    cropped = {
        key: np.asarray(value)[(..., rows, columns, *[slice(None)] * (key == "noise"))]
        for key, value in draws.items()
    }
    small = tfnca.rollout(step, inner, steps, engine=engine, seed=0, **cropped).numpy()
    large = tfnca.rollout(step, padded, steps, engine=engine, seed=0, **draws).numpy()
    assert np.abs(small - inner).max() > 0.1
    np.testing.assert_allclose(large[:, rows, columns], small, atol=1e-5)
    large[:, rows, columns] = 0
    assert not large.any()


# Firing, noise, step size and angle


@pytest.mark.parametrize("name", ["GrowingCA", "MNISTCA"])
def test_fire_rates(name, engine):
    ca = LAYERS[name]()
    state = random_state(ca, SHAPE)
    if name == "GrowingCA":
        state[..., 3] = 1.0  # all live
    living = np.ones(SHAPE, bool) if name == "GrowingCA" else state[..., 0] > 0.1
    for fire_rate, low, high in ((0.0, 0, 0), (0.5, 0.3, 0.7), (1.0, 1, 1)):
        again = type(ca).from_config(ca.get_config() | {"fire_rate": fire_rate})
        again.set_weights(ca.get_weights())
        changed = np.any(tfnca.rollout(again, state, 1, engine=engine, seed=0) != state, axis=-1)
        assert low <= changed[living].mean() <= high
        assert not changed[~living].any()


def test_noise_has_the_given_deviation_and_can_be_none(engine):
    state = tfnca.digit_state(np.ones((2, 28, 28)))  # a new CA's update is zero but for the noise
    after = tfnca.rollout(
        MNISTCA(noise_std=0.02, fire_rate=1.0), state, 1, engine=engine, seed=0
    ).numpy()
    np.testing.assert_array_equal(after[..., 0], state[..., 0])
    assert abs(after[..., 1:].std() / 0.02 - 1) < 0.02
    silent = MNISTCA(noise_std=0.0, fire_rate=1.0)
    np.testing.assert_array_equal(tfnca.rollout(silent, state, 1, engine=engine, seed=0), state)


def test_a_turned_cell_on_a_turned_grid_sees_the_same():
    ca, turned = (GrowingCA(angle=angle) for angle in (0.2, 0.2 + np.pi / 2))
    turned.set_weights(counted(ca).get_weights())
    state = random_state(ca, SHAPE)
    fires = np.random.default_rng(0).random((*SHAPE, 1)) < 0.5
    expected = np.rot90(ca(state, fire_mask=fires), axes=(1, 2))
    directions = [np.rot90(array, axes=(1, 2)) for array in (state, fires)]
    ours = [
        np.abs(other(directions[0].copy(), fire_mask=directions[1].copy()) - expected).max()
        for other in (turned, ca)
    ]
    assert ours[0] < 1e-5 < 0.01 < ours[1]


# Wrong input: a ValueError that says what came


def ca_call(layer, channels, **kwargs):
    return lambda: layer()(np.zeros((1, 4, 4, channels), np.float32), **kwargs)


nan_matrix = np.eye(16)
nan_matrix[3, 3] = np.nan
MISTAKES = {
    "growing channels": (ca_call(GrowingCA, 20), r"GrowingCA .*16.*Received: .*20"),
    "mnist channels": (ca_call(MNISTCA, 16), r"MNISTCA .*20.*Received: .*16"),
    "perturbation channels": (ca_call(MatrixPerturbation, 20), r"16.*Received: .*20"),
    "a mask without adversary": (ca_call(GrowingCA, 16, mask=np.ones((1, 4, 4))), "Received: a m"),
    "mask shape": (
        ca_call(LAYERS["Injected"], 16, mask=np.ones((1, 4, 5))),
        r"mask must .*1, 4, 4.*Received: .*1, 4, 5",
    ),
    "fire rate": (lambda: GrowingCA(fire_rate=1.5), r"fire_rate .*Received: fire_rate=1.5"),
    "fire rate nan": (lambda: MNISTCA(fire_rate=np.nan), r"fire_rate .*Received: .*nan"),
    "noise": (lambda: MNISTCA(noise_std=-0.1), r"noise_std .*Received: noise_std=-0.1"),
    "asymmetric": (
        lambda: MatrixPerturbation(matrix=np.triu(np.ones((16, 16)))),
        "symmetric.*Received",
    ),
    "matrix nan": (lambda: MatrixPerturbation(matrix=nan_matrix), "finite.*Received: NaN"),
    "matrix shape": (lambda: MatrixPerturbation(matrix=np.eye(15)), r"16, 16.*Received: .*15, 15"),
    "matrix dtype": (
        lambda: MatrixPerturbation(matrix=np.full((16, 16), "a")),
        "numbers.*Received",
    ),
    "two kinds": (lambda: Injected(GrowingCA(), MNISTCA()), "same channels.*Received.*MNISTCA"),
    "no CA": (lambda: Injected(MatrixPerturbation(), GrowingCA()), "host must be.*Received"),
    "perturbed twice": (lambda: Perturbed(Perturbed(GrowingCA())), "host must be.*Received"),
    "matrix and host": (
        lambda: Perturbed(GrowingCA(), MatrixPerturbation(12)),
        "16 channels.*Received.*12",
    ),
    "density 0": (lambda: check_density(0), "density .*Received: density=0"),
    "density 1.5": (lambda: check_density(1.5), "density .*Received: density=1.5"),
    "nothing combined": (lambda: tfnca.combine([]), "Received: none"),
    "weight nan": (lambda: tfnca.combine([(MatrixPerturbation(), np.nan)]), "finite k.*Received"),
    "not a matrix": (lambda: tfnca.combine([(np.eye(16), 1.0)]), "pairs.*Received"),
    "sizes": (
        lambda: tfnca.combine([(MatrixPerturbation(), 1), (MatrixPerturbation(8), 1)]),
        "one size.*Received: 16 and 8",
    ),
    "two kinds combined": (
        lambda: tfnca.combine([(MatrixPerturbation(), 1), (tfnca.ShiftPerturbation(), 1)]),
        "one kind.*Received.*MatrixPerturbation and ShiftPerturbation",
    ),
    "vector shape": (lambda: tfnca.ShiftPerturbation(vector=np.ones(15)), r"16,.*Received: .*15,"),
    "vector nan": (
        lambda: tfnca.ShiftPerturbation(vector=np.full(16, np.nan)),
        "finite.*Received: NaN",
    ),
    "seed size": (lambda: tfnca.seed_state(0), "Received: size=0"),
    "seed without alpha": (lambda: tfnca.seed_state(8, channels=3), "Received: channels=3"),
    "seed size and a half": (lambda: tfnca.seed_state(16.5), "Received: size=16.5"),
    "grey bytes": (
        lambda: tfnca.digit_state(np.full((1, 28, 28), 255.0)),
        "images must be in .*divide bytes by 255.*Received: values from 255",
    ),
    "negative grey": (lambda: tfnca.digit_state(-np.ones((1, 28, 28))), "images must be in"),
    "grey nan": (lambda: tfnca.digit_state(np.full((1, 8, 8), np.nan)), "images must be finite"),
    "one image": (lambda: tfnca.digit_state(np.ones((28, 28))), r"images .*Received: .*28, 28"),
    "images with an axis of channels": (
        lambda: tfnca.digit_state(np.ones((2, 28, 28, 1))),
        r"images .*Received: .*28, 28, 1",
    ),
    "a mask of sevens": (
        ca_call(LAYERS["Injected"], 16, mask=np.full((1, 4, 4), 7)),
        "mask must be 1 where.*Received: values from 7",
    ),
    "a dense share": (
        lambda: tfnca.random_mask(np.ones((1, 4, 4)), np.float32(5), seed=0),
        "density .*Received: density=.*5",
    ),
    "where is no batch": (
        lambda: tfnca.random_mask(np.ones((4, 4)), 0.5, seed=0),
        r"where must be .*Received: .*4, 4",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call()


def test_states_of_other_axes_or_too_few_channels_are_refused():
    with pytest.raises(ValueError, match=r"state must be of shape .*Received: shape=\(8, 8, 16\)"):
        tfnca.living_mask(tfnca.seed_state(8)[0])
    with pytest.raises(ValueError, match=r"channels must .*Received: "):
        tfnca.digit_state(np.zeros((1, 8, 8), np.float32), channels=0)


ALPHA = np.linspace(0, 1, 16).reshape(1, 4, 4)
WRONG_STARTS = {
    "a tuple of one": (lambda: tfnca.seed_state((72,)), r"size must be a side.*Received: .*72"),
    "three sides": (lambda: tfnca.seed_state((4, 4, 4)), "size must be a side"),
    "a word for a size": (lambda: tfnca.seed_state("a"), "size must be an integer"),
    "lists of unequal length": (lambda: tfnca.digit_state([[[0.5], [0.5, 0.1]]]), "images must be"),
    "a list of a picture": (lambda: tfnca.digit_state([[0.5, 0.1]]), "images must be of shape"),
    "a picture as a state": (lambda: tfnca.to_rgb(np.zeros((1, 4, 4, 3))), "four channels"),
    "bytes as a state": (lambda: tfnca.to_rgb(np.zeros((1, 4, 4, 4), np.uint8)), "four channels"),
    "alpha as allowed cells": (lambda: tfnca.random_mask(ALPHA, 0.5, seed=0), "where must be true"),
    "NaN as allowed cells": (
        lambda: tfnca.random_mask(np.full((1, 4, 4), np.nan), 0.5, seed=0),
        "where must be true",
    ),
}


@pytest.mark.parametrize("name", WRONG_STARTS)
def test_what_is_no_start_is_refused(name):
    call, message = WRONG_STARTS[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_lists_and_any_kind_of_truth_are_taken():
    images = np.full((2, 3, 4), 0.5)
    np.testing.assert_array_equal(tfnca.digit_state(images.tolist()), tfnca.digit_state(images))
    for kind in (bool, np.uint8, np.float32):
        assert np.all(np.asarray(tfnca.random_mask(np.ones((1, 4, 4), kind), 1.0, seed=0)) == 1)
    assert tfnca.seed_state(np.int64(5)).shape == tfnca.seed_state((5, 5)).shape


def tanh_in(host):
    host.update_layers[0].activation = keras.activations.tanh


def no_bias_in(host):
    host.update_layers[-1].use_bias = False


def another_layer_in(host):
    wide = host.update_layers[0]
    host.update_layers[0] = keras.layers.Dense(wide.units, "tanh", name=wide.name)
    host.update_layers[0].build((None, wide.kernel.shape[0]))


class Doubling(GrowingCA):
    """A CA with an attribute that its configuration leaves out."""

    times = 2

    def advance(self, state, context):
        return self.times * super().advance(state, context)


@pytest.mark.parametrize("change", [tanh_in, no_bias_in, another_layer_in])
def test_a_change_that_a_copy_would_lose_is_an_error(change, tmp_path):
    host = GrowingCA()
    change(host)
    with pytest.raises(ValueError, match=r"leaves out a change of `.*` of '(hidden|update)'"):
        Injected(host, GrowingCA())
    with pytest.raises(ValueError, match="leaves out a change"):
        Perturbed(host, MatrixPerturbation())
    trainer = tfnca.Trainer(host, tfnca.TargetLoss(np.zeros((16, 16, 4))))
    with pytest.raises(ValueError, match="a file would lose it"):
        trainer.save(tmp_path / "model.keras")


def test_an_attribute_that_a_copy_would_lose_is_an_error():
    host = Doubling()
    Injected(host, GrowingCA())
    host.times = 3
    with pytest.raises(ValueError, match="leaves out a change of `times` of 'doubling'"):
        Injected(host, GrowingCA())
    host = GrowingCA()
    host.fire_rate = 0.9
    assert Injected(host, GrowingCA()).host.fire_rate == 0.9
