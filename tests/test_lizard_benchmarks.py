"""The benchmarks of attacks that compose, and of invasions, with tiny settings."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
from descriptors import symmetric

import tfnca
from tfnca.measures.lizard import grown_states, target_masks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
import compose
import hardness
import immunity
import invaded
import persuade
import shared_basis
import stability
import videos
import wounds


def in_one_basis(seed=0, channels=4):
    """Two symmetric matrices with the same eigenvectors."""
    random = np.random.default_rng(seed)
    q = np.linalg.qr(random.normal(size=(channels, channels)))[0]
    return [q @ np.diag(random.uniform(0.5, 1.5, channels)) @ q.T for _ in range(2)]


def test_a_picture_has_the_changes_of_both_targets():
    red_tailless = compose.both_changes("no_tail", "red")
    np.testing.assert_array_equal(red_tailless, tfnca.lizard(without="tail", color="red"))
    assert compose.both_changes("red", "blue") is None
    plain, leg, arm = map(tfnca.load_target, ("lizard", "no_leg", "no_arm"))
    np.testing.assert_allclose(
        compose.both_changes("no_leg", "no_arm"), leg + arm - plain, atol=1e-6
    )


def test_matrices_of_one_eigenbasis_commute_and_are_aligned():
    a, b = in_one_basis()
    assert compose.apart(a, b) == pytest.approx((0, 0), abs=1e-9)
    assert compose.alignment(a, b) == pytest.approx(1)
    other = in_one_basis(seed=1)[0]
    assert compose.apart(a, other)[0] > 0.01
    assert compose.alignment(a, other) < 0.99
    assert compose.chance_alignment(a, b) < 0.9


def test_a_rank_correlation_has_an_interval():
    rank, low, high = compose.correlation(range(15), np.square(range(15)))
    assert (rank, low, high) == pytest.approx((1, 1, 1))
    noise = np.random.default_rng(0).normal(size=15)
    rank, low, high = compose.correlation(range(15), noise)
    assert low < rank < high


def test_pairs_are_composed_and_measured(monkeypatch):
    for name, value in {"SETTLED": 2, "JUDGED": 3, "RESAMPLES": 20}.items():
        monkeypatch.setattr(compose, name, value)
    names, ways = ("no_tail", "no_leg", "red", "blue"), ["sum", "A B"]
    options = argparse.Namespace(names=names, ways=ways, runs=1, size=48, later=2)
    found, (pictures, labels) = compose.measured(options)
    assert len(labels) == len(pictures) == len(found["pairs"]) == 6
    assert found["pairs"]["red, blue"]["ways"]["sum"]["error"] is None
    assert len(compose.table(found, ways).splitlines()) == 2 + 6
    ranks = compose.correlations(found, ways)
    assert ranks["commutator | sum | error"][3] == 5
    assert ranks["commutator | sum | drift"][3] == 6


def test_a_matrix_that_is_not_symmetric_is_applied_as_it_is():
    matrix = np.eye(16)
    matrix[0, 5] = 0.5
    state = np.asarray(tfnca.seed_state(3)) * 0.5
    np.testing.assert_allclose(compose.AnyMatrix(matrix)(state), state @ matrix, atol=1e-6)


def test_a_rotated_basis_stays_orthogonal_and_its_matrices_commute():
    matrices = [symmetric(seed, strength=0.02) for seed in (1, 2)]
    pair = shared_basis.prepared("basis", matrices)
    before = np.array(pair[0].matrix)
    pair[0].basis.rotation.assign(np.random.default_rng(0).normal(size=(16, 16)))
    q, first, second = (
        np.array(each) for each in (pair[0].basis.value(), pair[0].matrix, pair[1].matrix)
    )
    np.testing.assert_allclose(q @ q.T, np.eye(16), atol=1e-5)
    np.testing.assert_allclose(first @ second, second @ first, atol=1e-5)
    assert not np.allclose(first, before, atol=1e-2)
    trained = tfnca.Perturbed(tfnca.GrowingCA(), shared_basis.Sum(*pair)).trainable_variables
    assert {each.name for each in trained} == {"rotation", "values"}
    assert len(trained) == 3


def test_the_composition_starts_as_that_of_the_bundled_matrices():
    matrices = [symmetric(seed, strength=0.02) for seed in (1, 2)]
    pair = shared_basis.prepared("composed", matrices)
    expected = sum(matrices) - np.eye(16)
    np.testing.assert_allclose(shared_basis.Sum(*pair).matrix, expected, atol=1e-5)


def test_an_invasion_is_measured_beside_its_host(monkeypatch):
    monkeypatch.setattr(invaded, "AGE", 12)
    host = tfnca.load("growing_lizard")
    options = argparse.Namespace(seed=0, runs=2, at=[1, 3])
    target = tfnca.pad_target(tfnca.load_target("red"), 4)
    found, picture = invaded.measured(host, host, target, "1", options)
    assert [row["step"] for row in found["attack"]] == [1, 3]
    assert all(share == 1 for row in found["attack"] for share in row["share"])
    assert found["host"][0]["share"] == [0, 0]
    assert np.shape(picture)[2] == 3


def test_targets_differ_from_the_lizard_and_their_changes_are_described():
    pictures = hardness.targets()
    assert len(pictures) == 12
    plain = tfnca.pad_target(tfnca.lizard(), 4)
    body = plain[..., 3] > 0.1
    states = np.zeros((1, 48, 48, 16), np.float32)
    states[..., :4] = plain
    states[..., 4:8] = pictures["red"]  # hidden channels from which one matrix can make red
    states += np.random.default_rng(0).normal(scale=1e-6, size=states.shape) * body[..., None]
    known = {name: hardness.quantities(each, plain, states) for name, each in pictures.items()}
    assert all(each["cells"] > 0 for each in known.values())
    assert known["red"]["linear"] < 1e-6
    assert known["blue"]["linear"] > 1e-3
    assert known["red"]["alpha"] == known["brighter"]["alpha"] == 0
    assert known["no_tail"]["alpha"] > 0.5
    assert known["no_tail"]["from centre"] > known["red"]["from centre"]


def test_a_rule_predicts_unseen_targets_by_the_best_quantity(monkeypatch):
    monkeypatch.setattr(hardness, "QUANTITIES", ("noise", "hard"))
    random = np.random.default_rng(0)
    hard = random.permutation(12) + 1.0
    known = np.stack([random.normal(size=12), -hard], axis=1)
    rule, unseen, usual, left_out = hardness.predicted(known, hard, 6)
    assert (rule, usual) == ("hard", "hard")
    assert unseen == pytest.approx(1)
    assert left_out > 0.9


@pytest.mark.parametrize("kind", hardness.KINDS)
def test_an_attack_is_trained_and_measured_beside_its_host(kind):
    options = argparse.Namespace(updates=1, rate=1e-3, batch=2, pool=2, runs=2, at=2, seed=0)
    plain = tfnca.pad_target(tfnca.lizard(), 4)
    target = hardness.targets()["no_tail"]
    host = tfnca.load("growing_lizard")
    row, state = hardness.measured(kind, target, plain, host, options)
    assert set(row["known"]) == set(hardness.QUANTITIES)
    grown, loss = grown_states(host, (48, 48), 2, seed=1), tfnca.TargetLoss(target)
    step = hardness.attack(kind, host)
    mask = target_masks(target, 0.3, 2, seed=1) if step.has_adversary else None
    assert row["known"]["gradient"] == pytest.approx(hardness.gradient(step, loss, grown, mask))
    assert row["hardness"] == pytest.approx(np.median(row["attack"]) / np.median(row["alone"]))
    assert row["attack"] != row["alone"]
    assert state.shape == (48, 48, 4)


def test_only_the_cells_of_a_cut_differ_after_a_cut():
    picture = np.zeros((9, 9, 4), np.float32)
    picture[2:7, 2:7, 3] = 1.0
    cleared = wounds.cut_off(picture, 0.0) & (picture[..., 3] > 0.1)
    assert cleared.sum() == 5
    assert cleared[:, 6].sum() == 5


def test_a_run_holds_the_new_picture_if_it_is_near_and_nearer_than_the_hosts_own():
    row = {"step": 500, "new": [0.001, 0.002, 0.004, 0.0], "own": [0.01, 0.001, 0.01, 0.0]}
    assert wounds.row_of("cut", row) == "| cut | 500 | 0.0015 | 0.0055 | 2 of 4 | 2 of 4 |"


@pytest.mark.parametrize("kind", ["second", "cut", "removed", "nudge", "matrix"])
def test_a_wound_is_measured_after_the_attack(kind, monkeypatch):
    for name, value in {"AGE": 20, "AT": (1, 4), "MATRICES": ("no_leg",)}.items():
        monkeypatch.setattr(wounds, name, value)
    options = argparse.Namespace(runs=2, size=24, updates=1, batch=1, angle=0.0)
    look = wounds.trained if kind in ("nudge", "matrix") else wounds.untrained
    for _, rows, last in look(kind, "bundled", options):
        assert [row["step"] for row in rows] == [1, 4]
        assert last.shape[:2] == (2, 24)
        assert np.isfinite(last).all()
        assert np.isfinite([row["new"] + row["own"] for row in rows]).all()
        if kind == "second":
            assert (last[:, 12, 36, 3] > 0.1).all()
        if kind == "cut":
            assert np.less(rows[0]["new"], rows[0]["own"]).all()
            *_, plain = next(wounds.untrained("none", "bundled", options))
            assert (last[..., 3] > 0.1).sum() < (plain[..., 3] > 0.1).sum()


def test_a_nudge_changes_at_most_one_percent_of_the_cells():
    nudge = wounds.Nudge((20, 20, 4))
    first = np.random.default_rng(0).normal(size=(20, 20, 4))
    assert (nudge.limited(first) != 0).any(-1).sum() == 4
    assert (nudge.limited(np.ones_like(first)) != 0).any(-1).sum() == 4


def test_the_summary_tells_what_predicts_the_change(monkeypatch):
    monkeypatch.setattr(compose, "RESAMPLES", 200)
    rows = [
        {"exponent": e, "early": c, "push": c, "basin": -c, "change": c}
        for e, c in zip((-1, -1, -1, 1), (0.0, 0.001, 0.01, 0.1), strict=True)
    ]
    lines = list(stability.summary(rows))
    assert lines[:2] == ["2 of 4 remain the same.", "The exponent's sign is right for 3."]
    assert lines[5].startswith("| early | 1.00 |")
    assert lines[5].endswith("| 4 |")
    assert lines[7].startswith("| basin | -1.00 |")
    assert lines[7].endswith("| 4 |")


def test_a_push_is_measured_against_an_undisturbed_run(monkeypatch):
    for name, value in {"LOOK": 204, "EARLY": 4, "WAIT": 2, "RADII": (3,)}.items():
        monkeypatch.setattr(stability, name, value)
    host = tfnca.load("growing_lizard")
    grown = stability.grown_states(host, (40, 40), 2, seed=1)
    options = argparse.Namespace(steps=4, later=212)
    row = stability.look("growing_lizard", host, grown, options)
    assert row["push"] > 1e-6
    assert row["change"] > 0
    monkeypatch.setattr(stability, "PUSH", 0.0)
    assert stability.look("growing_lizard", host, grown, options)["push"] == 0


def test_a_circle_is_cleared_in_living_runs_only():
    state = np.zeros((2, 15, 15, 4), np.float32)
    state[0, ..., 3] = 1.0
    after = stability.cleared(state, 3, np.random.default_rng(0))
    assert after[0].sum() < state[0].sum()
    assert not after[1].any()


@pytest.fixture(scope="module")
def invaded_lizard():
    """A host, its red adversary, and a state of which the adversary has a third."""
    host, adversary = tfnca.load("growing_lizard"), tfnca.load_attack("adversary_red").adversary
    grown = tfnca.rollout(host, tfnca.seed_state(32), 60, seed=1)
    mask = tfnca.random_mask(tfnca.living_mask(grown)[..., 0], 0.3, seed=1)
    return host, adversary, tfnca.Invasion(host, adversary).invade(grown, mask)


def test_the_deviation_test_spares_cells_that_follow_the_host(invaded_lizard):
    host, adversary, state = invaded_lizard
    for other, survive in ((host, True), (adversary, False)):
        plain, tested = tfnca.Invasion(host, other), immunity.TestedInvasion(host, other)
        ends = [  # in one engine: two differ by rounding
            np.asarray(tfnca.rollout(each, state, 1, seed=1, engine="dense"))
            for each in (plain, tested)
        ]
        before, after = ends
        mine = np.asarray(plain.owners(state)) == 0
        np.testing.assert_array_equal(after[mine], before[mine])
        assert np.array_equal(after, before) == survive


def test_a_careful_adversary_passes_the_deviation_test(invaded_lizard):
    host, adversary, state = invaded_lizard
    careful = immunity.CarefulCA(**adversary.rule.config())
    careful.set_weights(adversary.get_weights())
    careful.lawful = host
    before, after = (
        np.asarray(tfnca.rollout(kind(host, careful), state, 1, seed=1, engine="dense"))
        for kind in (tfnca.Invasion, immunity.TestedInvasion)
    )
    np.testing.assert_array_equal(after, before)
    alone = tfnca.rollout(tfnca.Invasion(host, host), state, 1, seed=1, engine="dense")
    assert not np.array_equal(before, alone)


def test_a_free_cell_next_to_the_host_is_the_hosts_alone(invaded_lizard):
    host, adversary, state = invaded_lizard
    usual = np.asarray(tfnca.Invasion(host, adversary).belongs(state))
    first = np.asarray(immunity.HostFirstInvasion(host, adversary).belongs(state))
    assert usual.all(-1).any()
    assert not first.all(-1).any()
    np.testing.assert_array_equal(first[..., 0], usual[..., 0])


def test_no_host_cell_dies(invaded_lizard):
    host, adversary, state = invaded_lizard
    plain = tfnca.Invasion(host, adversary)
    mine = np.asarray(plain.owners(state)) == 0
    alpha = np.asarray(tfnca.rollout(plain, state, 20, seed=1))[..., 3][mine]
    assert (alpha < 0.1).any()
    step = immunity.UndyingInvasion(host, adversary)
    assert (np.asarray(tfnca.rollout(step, state, 20, seed=1))[..., 3][mine] >= 0.1).all()


def test_redder_cells_are_counted_among_the_hosts():
    state = np.zeros((1, 2, 2, 4), np.float32)
    state[0, 0, :, 0], state[0, 1, :, 1] = 0.9, 0.8
    assert persuade.redder(state, np.array([[[True, False], [True, True]]])) == pytest.approx(1 / 3)


def test_the_frames_of_a_video_follow_one_run_and_have_one_size():
    """An invasion by a copy of the host, which holds what it gets, and the host without it."""
    host = tfnca.load("growing_lizard")
    step = tfnca.Invasion(host, tfnca.load("growing_lizard"))
    grown = np.asarray(grown_states(host, (40, 40), 1, steps=60))
    along = [(now, np.asarray(state)) for now, state in videos.path(host, grown, 3, 5, first=60)]
    assert [now for now, _ in along] == [0, 5, 10]
    apart = tfnca.rollout(host, grown, 10, seed=1, step_offset=60)
    np.testing.assert_allclose(along[-1][1], apart, atol=1e-5)
    frames = list(videos.invasion(step, grown, 2, 4, 2))
    assert len(frames) == 6
    assert len({frame.shape for frame in frames}) == 1
    assert videos.shares(step, step.invade(grown, np.ones((1, 40, 40)))) == ["100 %"]
    assert videos.short("no_tail", "red") == "tail, red"


def test_a_judge_of_a_defence_is_rewarded_for_cells(monkeypatch):
    """And a host that is trained among invaders is not."""
    aims = []
    monkeypatch.setattr(immunity, "fit", lambda step, loss, *rest, **pool: aims.append(loss) or 0.0)
    alive = tfnca.Alpha()
    host, adversary = (tfnca.NeuralCA(channels=6, hidden=4, alive=alive) for _ in range(2))
    picture = np.zeros((12, 12, 4), np.float32)
    immunity.new_adversary(tfnca.Invasion, host, adversary, picture, updates=1)
    immunity.trained_host(host, adversary, picture, updates=1)
    assert [aim.cell_cost for aim in aims] == [-1, 0]
