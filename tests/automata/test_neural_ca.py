"""`NeuralCA`: every option against an interpreter in plain NumPy, and its properties."""

import json

import interpreter
import keras
import numpy as np
import pytest
from conftest import gradients
from rules import RULES, filled, some_inputs, some_state

import tfnca
from tfnca import Alpha, NeuralCA, Stroke
from tfnca.automata.filters import FILTERS, filter_array
from tfnca.automata.perception import PADDINGS
from tfnca.automata.rule import Rule

SHAPE = (2, 5, 7)


def close(ours, expected, tolerance=2e-5):
    largest = np.abs(expected).max()
    assert largest > 1e-3
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * largest)


def draws(rule, shape, seed=0):
    """Fire masks, and noise for a rule that takes it."""
    random = np.random.default_rng(seed)
    fire = random.random((*shape, 1)) < 0.6
    noise = random.normal(scale=0.1, size=(*shape, rule.changing)).astype(np.float32)
    return {"fire_mask": fire} | ({} if rule.noise_std is None else {"noise": noise})


@pytest.mark.parametrize("name", RULES)
def test_values_and_gradients_are_the_interpreters(name):
    ca = filled(RULES[name])
    state = some_state(ca.rule, SHAPE)
    given = draws(ca.rule, SHAPE) | some_inputs(ca.rule, SHAPE)
    upstream = np.random.default_rng(5).normal(size=state.shape).astype(np.float32)
    following, of_state, *of_weights = gradients(lambda x: ca(x, **given), ca, state, upstream)
    assert np.abs(following - state).max() > 0.1

    totals = [np.zeros(weight.shape) for weight in ca.weights]
    for i, grid in enumerate(state.astype(np.float64)):
        fire, *rest = (given.get(key) for key in ("fire_mask", "noise", "inputs"))
        noise, inputs = (None if each is None else each[i].astype(np.float64) for each in rest)
        expected, back = interpreter.step(
            RULES[name], ca.get_weights(), grid, fire[i, ..., 0], noise, inputs
        )
        close(following[i], expected)
        of_grid, sums = back(upstream[i].astype(np.float64))
        close(of_state[i], of_grid)
        totals = [total + part for total, part in zip(totals, sums, strict=True)]
    for ours, expected in zip(of_weights, totals, strict=True):
        close(ours, expected)


@pytest.mark.parametrize("name", RULES)
def test_round_trips(name, tmp_path):
    ca = filled(RULES[name])
    keras.saving.save_model(ca, tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    state, given = some_state(ca.rule, SHAPE), some_inputs(ca.rule, SHAPE)
    for other in (again, NeuralCA.from_config(json.loads(json.dumps(ca.get_config())))):
        assert other.rule == ca.rule
        assert other.rule == Rule(**ca.rule.config())
        other.set_weights(ca.get_weights())
        np.testing.assert_array_equal(
            other(state, seed=1, index=2, **given), ca(state, seed=1, index=2, **given)
        )


def test_names_of_filters_are_their_arrays():
    named = filled(RULES["filters' variants"])
    arrays = [filter_array(name).tolist() for name in named.filters]
    spelled_out = NeuralCA(**{**RULES["filters' variants"], "filters": arrays})
    spelled_out.set_weights(named.get_weights())
    state = some_state(named.rule, SHAPE)
    np.testing.assert_array_equal(named(state, seed=0), spelled_out(state, seed=0))


def test_filters_that_are_the_same():
    for name, same in {
        "sobel_x_transposed": "sobel_y",
        "sobel_y_transposed": "sobel_x",
        "scharr_x_transposed": "scharr_y",
        "sobel_x_mirrored_mirrored": "sobel_x",
        "laplacian_flipped": "laplacian",
    }.items():
        np.testing.assert_array_equal(filter_array(name), filter_array(same))
    np.testing.assert_array_equal(filter_array("sobel_y_flipped"), -filter_array("sobel_y"))
    np.testing.assert_array_equal(filter_array("sobel_x_unscaled"), 8 * filter_array("sobel_x"))
    for name in FILTERS:  # smoothing filters keep a constant, all others find nothing in it
        total = filter_array(name).sum()
        assert total == pytest.approx(float(name in ("identity", "gauss", "mean")), abs=1e-6)


def test_a_torus_has_no_border():
    """Shifting the grid shifts the result, with circular padding and with no other."""
    for name in ("texture", "growing, circular", "stroke, circular", "inputs, circular"):
        for padding, same in (("circular", True), ("zero", False), ("reflect", False)):
            ca = filled({**RULES[name], "padding": padding})
            state, given = some_state(ca.rule, SHAPE), some_inputs(ca.rule, SHAPE)
            given |= draws(ca.rule, SHAPE)
            following = ca(state, **given)
            shift = {"shift": (2, 3), "axis": (1, 2)}
            for key in set(given) - {"inputs"}:
                given[key] = np.roll(given[key], **shift)
            shifted = ca(np.roll(state, **shift), **given)
            assert np.allclose(np.roll(following, **shift), shifted, atol=1e-5) == same


def test_grids_of_one_row():
    for padding in PADDINGS:
        ca = filled({**RULES["one filter"], "padding": padding})
        state = some_state(ca.rule, (1, 1, 1))
        fire = np.ones((1, 1, 1, 1))
        seen_nine_times = padding != "zero"
        same = filled({**RULES["one filter"], "filters": [np.eye(3)[1] * np.eye(3)[:, [1]]]})
        same.set_weights(ca.get_weights())
        expected = same(state, fire_mask=fire)
        assert np.allclose(ca(state, fire_mask=fire), expected, atol=1e-6) == seen_nine_times


def test_an_input_for_each_cell_is_that_for_each_item():
    ca = filled(RULES["inputs, circular"])
    state, inputs = some_state(ca.rule, SHAPE), some_inputs(ca.rule, SHAPE)["inputs"]
    grid = np.broadcast_to(inputs[:, None, None], (*SHAPE, 2)).copy()
    following = ca(state, seed=0, inputs=inputs).numpy()
    np.testing.assert_array_equal(ca(state, seed=0, inputs=grid), following)
    grid[0, 2, 3] += 1  # seen by its neighbours and nobody else
    changed = np.any(ca(state, seed=0, inputs=grid) != following, axis=-1)
    assert changed[0, 1:4, 2:5].any()
    changed[0, 1:4, 2:5] = False
    assert not changed.any()


def test_dead_cells_have_no_inputs():
    ca = filled(RULES["alpha, inputs"])
    state = np.zeros((1, 5, 9, 6), np.float32)
    state[0, 2, 2, 3] = 1
    inputs = np.zeros((1, 5, 9, 3), np.float32)
    inputs[:, :, 4:] = 5  # beyond the living cells, next to them
    fire = np.ones((1, 5, 9, 1))
    without = ca(state, fire_mask=fire, inputs=np.zeros_like(inputs))
    assert np.abs(without).max() > 0.1
    np.testing.assert_array_equal(ca(state, fire_mask=fire, inputs=inputs), without)


def test_fixed_channels_never_change_and_dead_cells_keep_them():
    for name in ("alpha, fixed channels", "segmenter", "stroke, filters"):
        ca = filled(RULES[name])
        state = some_state(ca.rule, SHAPE)
        following = tfnca.rollout(ca, state, 4, seed=0, engine="dense").numpy()
        np.testing.assert_array_equal(following[..., : ca.fixed], state[..., : ca.fixed])
        assert np.any(following != state)


def test_a_cell_at_rest_is_not_clipped():
    ca = filled(RULES["growing, clipped"])
    state = 3 * some_state(ca.rule, SHAPE)
    alive = ca.living(state).numpy()[..., 0]
    fire = draws(ca.rule, SHAPE)["fire_mask"]
    following = ca(state, fire_mask=fire).numpy()
    stays = alive & ~fire[..., 0] & np.any(following != 0, -1)
    np.testing.assert_array_equal(following[stays], state[stays])
    assert np.abs(following[stays]).max() > 0.8
    assert np.abs(following[fire[..., 0]]).max() == pytest.approx(0.8)


@pytest.mark.parametrize("name", ["texture", "growing, circular", "segmenter"])
def test_two_rules_in_one_injection(name):
    """Of the same channels, and otherwise of any kind."""
    host = filled(RULES[name])
    for other in ("leaky", "digits", "growing, noise", "learned, circular"):
        channels = {"channels": host.channels}
        adversary = filled({**RULES[other], **channels}, seed=1)
        step = tfnca.Injected(host, adversary)
        state, mask = some_state(host.rule, SHAPE), np.zeros(SHAPE)
        mask[:, :, 3:] = 1
        following = step(state, mask=mask, seed=1, index=2)
        of_adversary = adversary(state, seed=1, index=2, network=1)
        np.testing.assert_array_equal(following[:, :, 3:], of_adversary[:, :, 3:])
        np.testing.assert_array_equal(following[:, :, :3], host(state, seed=1, index=2)[:, :, :3])


WRONG = {
    "channels": (0, "channels must be an integer of at least 1. Received: channels=0"),
    "filters": (["sobel"], "must be one of .*'gauss'.* Received: 'sobel'"),
    "filters of another size": (
        dict(filters=[np.eye(2)]),
        r"3 by 3 finite numbers. Received: (.|\n)*\(2, 2\)",
    ),
    "no perception": (dict(filters=()), "A rule needs filters, or a learned perception"),
    "learned": ({"filters": 3, "multiplier": 2}, r"dict\(filters=…\), .* Received: learned="),
    "learned, unknown": (dict(learned={"kernels": 3}), "a dictionary of .*'multiplier'"),
    "hidden": ((8, 0), "hidden must be an integer of at least 1. Received: hidden=0"),
    "activation": ("swish", "activation must be one of .*'silu'.* Received: activation='swish'"),
    "padding": ("same", "padding must be one of .*'circular'.* Received: padding='same'"),
    "alive": ("alpha", "alive must be an Alpha, a Stroke, or None .* Received: alive='alpha'"),
    "alive, a channel too many": (
        dict(alive=Alpha(16)),
        "alive.channel must be an integer in 0 to",
    ),
    "alive, a stroke that changes": (dict(alive=Stroke(0)), "one of the fixed channels"),
    "fixed": (16, "fixed must be an integer in 0 to 15. Received: fixed=16"),
    "inputs": (-1, "inputs must be an integer of at least 0. Received: inputs=-1"),
    "state_clip": (0.0, "state_clip must be positive. Received: state_clip=0.0"),
    "network_clip": (-1.0, "network_clip must be positive"),
    "message_bound": (0, "message_bound must be positive"),
    "fire_rate": (1.5, r"fire_rate must be in \[0.0, 1.0\]. Received: fire_rate=1.5"),
    "noise_std": (-0.1, "noise_std must be in"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name):
    given, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        NeuralCA(**(given if isinstance(given, dict) and name != "learned" else {name: given}))


@pytest.mark.parametrize(
    ("rule", "given", "message"),
    [
        ("texture", {"inputs": np.zeros((2, 3))}, "takes inputs of shape none. Received: inputs"),
        ("alpha, inputs", {}, r"takes inputs of shape \(batch, 3\) or .* Received: none"),
        ("alpha, inputs", {"inputs": np.zeros((2, 2))}, r"Received: inputs of shape \(2, 2\)"),
        ("texture", {"mask": np.zeros(SHAPE)}, "NeuralCA has no adversary"),
        ("texture", {"noise": np.zeros((*SHAPE, 5))}, "NeuralCA adds no noise"),
    ],
)
def test_wrong_call_arguments_are_named(rule, given, message):
    ca = filled(RULES[rule])
    with pytest.raises(ValueError, match=message):
        ca(some_state(ca.rule, SHAPE), **given)


@pytest.mark.parametrize("name", RULES)
def test_a_perturbation_at_the_identity_does_nothing(name):
    host = filled(RULES[name])
    state, given = some_state(host.rule, SHAPE), some_inputs(host.rule, SHAPE)
    if host.state_clip is not None:
        state = np.clip(state, -host.state_clip, host.state_clip)
    if isinstance(host.alive, Alpha):
        state[..., host.fixed :] *= np.asarray(host.living(state))
    for nothing in (
        tfnca.MatrixPerturbation(host.channels),
        tfnca.ShiftPerturbation(host.channels),
    ):
        perturbed = tfnca.Perturbed(host, nothing)
        expected = host(4 * state, seed=1, index=2, **given)
        if host.state_clip is None:
            found = perturbed(4 * state, seed=1, index=2, **given)
            np.testing.assert_allclose(found, expected, atol=2e-5)
        found = perturbed(state, seed=1, index=2, **given)
        np.testing.assert_allclose(found, host(state, seed=1, index=2, **given), atol=1e-5)


@pytest.mark.parametrize("name", ["texture", "digits", "alpha, fixed channels", "growing"])
def test_a_perturbation_changes_the_living_cells_and_no_fixed_channel(name):
    host = filled(RULES[name])
    state = some_state(host.rule, SHAPE)
    alive = host.living(state)
    alive = np.ones(SHAPE, bool) if alive is None else np.asarray(alive)[..., 0]
    shift = tfnca.ShiftPerturbation(host.channels, np.full(host.channels, 0.25))
    changed = np.asarray(shift(state, host=host))
    expected = state.copy()
    expected[alive, host.fixed :] += 0.25
    if isinstance(host.alive, Alpha):
        expected[~alive, host.fixed :] = 0
    np.testing.assert_allclose(changed, expected, atol=1e-6)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_tells_the_shapes_of_its_weights(name):
    ca = filled(RULES[name])
    assert ca.rule.shapes == [tuple(weight.shape) for weight in ca.weights_in_order]
    kernels = [weight for weight in ca.weights_in_order if len(weight.shape) > 1]
    assert ca.rule.parameters == sum(int(np.prod(kernel.shape)) for kernel in kernels)


@pytest.mark.parametrize("preset", [tfnca.GrowingCA, tfnca.MNISTCA])
def test_a_preset_tells_its_rule(preset):
    sizes = {"channels": 13, "hidden": 7}
    made, told = preset(**sizes), Rule(**preset.parts(**sizes))
    assert told.shapes == made.rule.shapes
    assert (told.alive, told.fixed) == (made.rule.alive, made.rule.fixed)
    assert Rule(**preset.parts()).channels == preset().channels


def test_a_rule_too_large_for_any_memory_is_refused():
    with pytest.raises(ValueError, match=r"at most 134,217,728 parameters. Received: [0-9,]+, for"):
        NeuralCA(learned={"multiplier": 4096}, hidden=4096)


@pytest.mark.parametrize("name", ["inputs, circular", "alpha, inputs"])
def test_a_rollout_gives_the_inputs_to_every_step(name):
    ca = filled(RULES[name])
    state, given = some_state(ca.rule, SHAPE), some_inputs(ca.rule, SHAPE)
    expected = state
    for index in range(3):
        expected = ca(expected, seed=4, index=index, **given)
    np.testing.assert_allclose(tfnca.rollout(ca, state, 3, seed=4, **given), expected, atol=1e-5)
    injected = tfnca.Injected(ca, filled({**RULES["growing"], "channels": ca.channels}))
    mask = np.zeros(SHAPE)
    found = tfnca.rollout(injected, state, 3, mask=mask, seed=4, **given)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    other = filled({**RULES["growing"], "channels": ca.channels})
    with pytest.raises(ValueError, match="takes inputs of shape none"):
        tfnca.rollout(other, state, 3, inputs=given["inputs"])


UNIFORM = ("state_clip", "network_clip", "message_bound", "noise_std")


@pytest.mark.parametrize("name", RULES)
def test_a_scaled_rule_is_the_same_rule_in_other_units(name):
    ca = filled(RULES[name])
    rule, factors = ca.rule, np.random.default_rng(1).uniform(0.2, 3.0, ca.channels)
    if rule.alive is not None:
        factors[rule.alive.channel] = 1.0
    if any(getattr(rule, bound) for bound in UNIFORM):
        with pytest.raises(ValueError, match=r"no equal rule in other units.*Received: [a-z_]+="):
            ca.scaled(factors)
        return
    scaled, state = ca.scaled(factors), some_state(rule, SHAPE)
    assert type(scaled) is type(ca)
    given = draws(rule, SHAPE) | some_inputs(rule, SHAPE)
    if rule.noise_std is not None:
        given["noise"] = np.zeros_like(given["noise"])
    expected = ca(state, **given)
    close(scaled(state * factors, **given) / factors, expected)
    assert np.abs(ca(state * factors, **given) / factors - expected).max() > 1e-2


def test_what_cannot_be_scaled_says_why():
    ca = filled({"channels": 5, "alive": Alpha()})
    for wrong in (np.ones(4), np.zeros(5), -np.ones(5), 2 * np.ones(5), np.full(5, np.nan)):
        with pytest.raises(ValueError, match=r"5 positive numbers, and 1 for the channels 3"):
            ca.scaled(wrong)
    with pytest.raises(ValueError, match=r"5 positive numbers\. Received"):
        filled({"channels": 5}).scaled(np.zeros(5))

    class Fading(NeuralCA):
        def advance(self, state, context):
            return 0.9 * super().advance(state, context) + 0.1

    with pytest.raises(ValueError, match="Received: Fading, whose advance is another one"):
        Fading().scaled(np.ones(16))


SHAPING = {
    "channels": 17,
    "filters": ("identity", "sobel_x"),
    "learned": {"filters": 3},
    "hidden": (64,),
    "activation": "tanh",
    "negative_slope": 0.5,
    "last_bias": False,
    "fixed": 1,
    "inputs": 2,
}


LATER = {
    "filters": ("identity", "mean", "gauss"),
    "padding": "circular",
    "alive": Alpha(),
    "state_clip": 0.01,
    "network_clip": 0.01,
    "fire_rate": 1.0,
    "step_size": 0.5,
    "noise_std": 0.1,
    "message_bound": 0.01,
}


@pytest.mark.parametrize("name", SHAPING)
@pytest.mark.parametrize("kind", [NeuralCA, tfnca.GrowingCA, tfnca.MNISTCA])
def test_what_shaped_the_layers_cannot_be_set_later(kind, name):
    ca, value = kind(), SHAPING[name]
    if kind is tfnca.MNISTCA and name in ("channels", "fixed"):
        value += 1
    before = getattr(ca, name)
    with pytest.raises(ValueError, match=f"{name} of a {kind.__name__} cannot be set.*Received: "):
        setattr(ca, name, value)
    assert getattr(ca, name) == before
    new = NeuralCA(**{**ca.rule.config(), name: value})  # what the message says
    assert new.rule.layers != ca.rule.layers


@pytest.mark.parametrize(
    ("kind", "name"),
    [(k, n) for k in (tfnca.GrowingCA, tfnca.MNISTCA) for n in LATER if n not in k.arguments],
)
def test_what_a_preset_fixes_cannot_be_set_because_its_file_would_lack_it(kind, name):
    refused = pytest.raises(ValueError, match=f"{name} of a {kind.__name__} cannot be set.*fixed")
    ca, value = kind(), LATER[name]
    before = getattr(ca, name)
    with refused:
        setattr(ca, name, value)
    assert getattr(ca, name) is before
    with refused:
        kind(**{name: value})
    assert getattr(NeuralCA(**{**ca.rule.config(), name: value}), name) == value


def test_a_subclass_may_fix_another_value():
    @keras.saving.register_keras_serializable("tests")
    class Torus(tfnca.GrowingCA):
        def __init__(self, **kwargs):
            super().__init__(padding="circular", **kwargs)

    torus = Torus(channels=6)
    assert torus.rule.padding == "circular"
    assert Torus.from_config(torus.get_config()).rule == torus.rule
    with pytest.raises(ValueError, match="padding of a Torus cannot be set, as it is fixed"):
        torus.padding = "zero"


def test_the_padding_of_a_learned_perception_cannot_be_set_to_or_from_zero():
    ca = NeuralCA(learned={"filters": 3}, padding="circular")
    ca.padding = "reflect"
    with pytest.raises(ValueError, match="padding of a NeuralCA cannot be set"):
        ca.padding = "zero"


@pytest.mark.parametrize("name", LATER)
def test_what_did_not_shape_the_layers_takes_effect_when_it_is_set(name):
    assert {*SHAPING, *LATER} == set(NeuralCA.arguments)
    ca, state = filled({"channels": 5, "hidden": 8}), some_state(Rule(channels=5), SHAPE)
    weights, before = ca.get_weights(), ca(state, seed=0)
    setattr(ca, name, LATER[name])
    after = ca(state, seed=0)
    assert np.abs(after - before).max() > 1e-3
    copy = NeuralCA.from_config(ca.get_config())
    copy.set_weights(weights)
    np.testing.assert_array_equal(copy(state, seed=0), after)
