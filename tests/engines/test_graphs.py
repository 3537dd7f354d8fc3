"""Graphs know all that they hold: whatever changes, the next run is of what is there now."""

import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from descriptors import LAYERS, STEPS, counted, random_masks, random_state, shuffled, symmetric

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.mnist import MNISTCA
from tfnca.engines import sparse
from tfnca.engines.fingerprint import fingerprint

SHAPE = (2, 6, 7)


class Fading(GrowingCA):
    rate = 1.0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.own, self.table, self.pace = 1.0, np.ones(16, np.float32), Pace()
        self.moved = self.add_weight(shape=(1,), trainable=False)

    def advance(self, state, context):
        factor = self.rate * self.own * self.pace.factor * self.table[0] * self.moved[0]
        return factor * super().advance(state, context)


class Pace:
    factor = 1.0


def another_layer():
    layer = keras.layers.Dense(128, activation="relu")
    layer.build((None, 48))
    return shuffled(layer, seed=9)


def negative(values):
    return -keras.activations.relu(values)


def set_table(step):
    step.table[0] = 0.5


CHANGES = {
    "a perturbation": (
        "Perturbed",
        lambda step: setattr(step, "perturbation", tfnca.MatrixPerturbation(matrix=symmetric(9))),
    ),
    "an adversary": (
        "Injected", lambda step: setattr(step, "adversary", shuffled(GrowingCA(), seed=9))
    ),
    "a host": ("Injected", lambda step: setattr(step, "host", shuffled(GrowingCA(), seed=9))),
    "a layer": ("GrowingCA", lambda step: step.update_layers.__setitem__(0, another_layer())),
    "an activation": (
        "GrowingCA", lambda step: setattr(step.update_layers[0], "activation", negative)
    ),
    "a setting": ("GrowingCA", lambda step: setattr(step, "angle", 1.0)),
    "a dilation": ("MNISTCA", lambda step: setattr(step.perceive, "dilation_rate", (2, 2))),
    "a bias": ("MNISTCA", lambda step: setattr(step.perceive, "use_bias", False)),
    "a user's attribute": (Fading, lambda step: setattr(step, "own", 0.5)),
    "a user's array": (Fading, set_table),
    "a user's object": (Fading, lambda step: setattr(step.pace, "factor", 0.5)),
    "a class's attribute": (Fading, lambda step: setattr(Fading, "rate", 0.5)),
    "a method": (
        "GrowingCA",
        lambda step: setattr(step, "advance", lambda state, context: 0.5 * state),
    ),
}  # fmt: skip


def make(kind):
    if isinstance(kind, str):
        return LAYERS[kind]()
    step = counted(kind())
    step.moved.assign([1.0])
    return step


@pytest.mark.parametrize("engine", ["dense", "auto"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_changed_is_run(change, engine, monkeypatch):
    monkeypatch.setattr(Fading, "rate", 1.0)
    kind, apply = CHANGES[change]
    step = make(kind)
    state, masks = random_state(step, SHAPE), random_masks(step, SHAPE)
    kwargs = {"seed": 3, "engine": engine, **masks}
    before = tfnca.rollout(step, state, 2, **kwargs).numpy()
    apply(step)
    after = tfnca.rollout(step, state, 2, **kwargs).numpy()
    assert np.abs(after - before).max() > 1e-3
    by_hand = state
    for index in range(2):
        by_hand = step(by_hand, seed=3, index=index, **masks)
    np.testing.assert_allclose(after, by_hand, atol=1e-5 * np.abs(by_hand).max())


def test_what_variables_hold_needs_no_new_graph():
    step = make(Fading)
    state, before = random_state(step, SHAPE), fingerprint(step)
    first = tfnca.rollout(step, state, 2, seed=1, engine="dense").numpy()
    step.moved.assign([0.5])
    second = tfnca.rollout(step, state, 2, seed=1, engine="dense").numpy()
    assert np.abs(second - first).max() > 1e-3
    assert fingerprint(step) == before
    step.trainable = False
    assert fingerprint(step) != before


def test_an_object_in_anothers_place_is_another():
    step = make(Fading)
    seen = []
    for _ in range(20):  # memory is given out again
        step.pace = Pace()
        seen.append(fingerprint(step))
        del step.pace
    assert all(a != b for number, a in enumerate(seen) for b in seen[:number])


@pytest.mark.parametrize("name", STEPS)
def test_looking_costs_little(name):
    step = LAYERS[name]()
    times = []
    for _ in range(50):
        began = time.perf_counter()
        fingerprint(step)
        times.append(time.perf_counter() - began)
    assert min(times) < 1e-3  # 0.02 to 0.11 ms on a quiet machine


def trained(step, **kwargs):
    loss = kwargs.pop("loss", tfnca.TargetLoss(np.zeros((6, 7, 4))))
    trainer = tfnca.Trainer(step, loss, steps=3, **kwargs)
    trainer.compile(keras.optimizers.SGD(1e-2))
    return trainer, tfnca.GrowingPool(random_state(step, (1, 6, 7)), size=8)


@pytest.mark.parametrize("engine", ["dense", "auto"])
def test_a_trainer_sees_what_is_changed(engine):
    step = LAYERS["Perturbed"]()
    trainer, pool = trained(step, engine=engine)
    state = random_state(step, SHAPE)
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    before = trainer.evaluate(state)
    step.perturbation = other = tfnca.MatrixPerturbation(matrix=symmetric(9))
    fresh, _ = trained(step, engine=engine)
    assert trainer.evaluate(state) == fresh.evaluate(state) != before
    trainer.compile(keras.optimizers.SGD(1e-2))
    start = other.to_array()
    with pytest.warns(UserWarning, match="Gradients do not exist"):  # Keras still lists the old one
        trainer.fit(pool, steps_per_epoch=1, verbose=0)
    assert np.abs(other.to_array() - start).max() > 1e-5
    step.host.update_layers[0].activation = negative
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        trainer.fit(pool, steps_per_epoch=1, verbose=0)  # the fast engine no longer runs it
    assert trainer.engine == "dense"
    before = trainer.evaluate(state)
    trainer.loss_of_states.target = np.ones((6, 7, 4), np.float32)
    assert trainer.evaluate(state) != before


def test_a_pools_settings_are_seen_by_the_next_fit():
    step = counted(GrowingCA())
    trainer, pool = trained(step)
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    function = trainer.train_function
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    assert trainer.train_function is function
    pool.damaged = 0
    trainer.fit(pool, steps_per_epoch=1, verbose=0)
    assert trainer.train_function is not function


# What the fast engine runs


def layer_of(kind, place, **settings):
    ca = counted(kind())
    for name, value in settings.items():
        setattr(ca.layers_in_order[place], name, value)
    return ca


def ca_with(kind, **settings):
    ca = counted(kind())
    for name, value in settings.items():
        setattr(ca, name, value)
    return ca


ODD = {
    "dilation": lambda: layer_of(MNISTCA, 0, dilation_rate=(2, 2)),
    "strides": lambda: layer_of(MNISTCA, 0, strides=(2, 2)),
    "padding": lambda: layer_of(MNISTCA, 0, padding="valid"),
    "groups": lambda: layer_of(MNISTCA, 0, groups=2),
    "data format": lambda: layer_of(MNISTCA, 0, data_format="channels_first"),
    "no bias": lambda: layer_of(MNISTCA, 0, use_bias=False),
    "no bias of a lizard": lambda: layer_of(GrowingCA, 0, use_bias=False),
    "activation": lambda: layer_of(GrowingCA, 1, activation=keras.activations.tanh),
    "activity regulariser": lambda: layer_of(
        GrowingCA, 0, activity_regularizer=keras.regularizers.L2(1.0)
    ),
    "a kernel's shape": lambda: ca_with(
        GrowingCA, update_layers=[counted(GrowingCA(channels=8)).update_layers[0], another_layer()]
    ),
    "a rate that is a variable": lambda: ca_with(GrowingCA, fire_rate=keras.Variable(0.5)),
    "noise": lambda: ca_with(tfnca.NeuralCA, alive=tfnca.Alpha(), noise_std=0.1),
    "other channels": lambda: tfnca.Injected(ca_with(GrowingCA), ca_with(GrowingCA)),
}


@pytest.mark.parametrize("name", ODD)
def test_what_compiled_code_does_not_compute_is_not_given_to_it(name):
    step = ODD[name]()
    if name == "other channels":
        step.adversary = GrowingCA(channels=8)
    assert sparse.supports(step)
    with pytest.raises(ValueError, match=r"does not run this step: .* engine='dense' runs any"):
        tfnca.rollout(step, np.zeros((1, 6, 7, step.channels), np.float32), 1, engine="sparse")


@pytest.mark.parametrize("name", STEPS)
def test_our_own_steps_are_given_to_it(name):
    assert sparse.supports(LAYERS[name]()) is None


@pytest.mark.parametrize(
    ("kind", "name", "value", "message"),
    [
        (MNISTCA, "message_bound", -1.0, "message_bound must be positive. Received: .*-1"),
        (MNISTCA, "noise_std", -1.0, "noise_std must be in .* Received: .*-1"),
        (GrowingCA, "channels", 2, "alive.channel must be an integer in 0 to 1. Received: .*3"),
    ],
)
def test_a_setting_that_no_rule_has_is_refused_where_it_is_set(kind, name, value, message):
    with pytest.raises(ValueError, match=message):
        ca_with(kind, **{name: value})


def test_the_step_size_of_any_rule_is_used_by_both():
    ca = counted(tfnca.NeuralCA(**{**MNISTCA().rule.config(), "step_size": 0.3}))
    state = random_state(ca, SHAPE)
    dense, ours = (
        tfnca.rollout(ca, state, 3, seed=1, engine=engine) for engine in ("dense", "sparse")
    )
    np.testing.assert_allclose(ours, dense, atol=1e-5)


def test_too_few_channels_are_refused():
    with pytest.raises(ValueError, match=r"channels must be .* at least 4. Received: channels=2"):
        GrowingCA(channels=2)
    with pytest.raises(ValueError, match=r"channels must be .* at least 11. Received: channels=9"):
        MNISTCA(channels=9)


TWO = {"layers": (2, 2), "trained": (True, True), "filters": (3, 3), "first": (1, 1)}
INVADED = TWO | {"hidden": (1, 1), "invaded": True}
FORMS = {
    "channels": {"channels": 3},
    "no network": {"layers": (), "trained": ()},
    "three networks": {"layers": (2, 2, 2), "trained": (True,) * 3},
    "no layers": {"layers": (0,)},
    "training": {"trained": (True, True)},
    "filters": {"filters": (-1,)},
    "one for each network": {"first": (1, 1)},
    "fixed channels where cells die": {"changing": 15},
    "more channels than there are": {"changing": 17},
    "digits under a matrix": {"alive": 2, "has_matrix": True},
    "an invasion of one species": {"invaded": True},
    "an invasion under a matrix": INVADED | {"has_matrix": True},
    "an invasion of digits": INVADED | {"alive": 2},
}


@pytest.mark.parametrize("wrong", FORMS)
def test_no_form_reaches_compiled_code_for_which_it_has_no_place(wrong):
    from tfnca.engines.form import ALPHA, Form, check_form

    of_network = {"layers": (2,), "trained": (True,), "filters": (3,), "first": (1,)}
    form = Form(ALPHA, 3, False, 16, 16, False, False, hidden=(1,), **of_network)
    with pytest.raises(ValueError, match=r"Received: "):
        check_form(form._replace(**FORMS[wrong]))
    check_form(form)


def test_a_mask_without_an_adversary_does_not_reach_compiled_code():
    ca = LAYERS["GrowingCA"]()
    state, seed = tf.constant(random_state(ca, SHAPE)), tf.constant(0, tf.int64)
    with pytest.raises((ValueError, tf.errors.OpError), match="A mask needs an adversary"):
        sparse.run(ca, state, tf.constant(1), tf.ones(SHAPE), seed, seed)
