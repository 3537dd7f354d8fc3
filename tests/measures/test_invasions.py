"""The measures of an invasion, and its loss, on states made by hand."""

import numpy as np
import pytest

import tfnca
from tfnca.measures.invasion import look_at, measure_invasion

STEP = tfnca.Invasion(tfnca.GrowingCA(), tfnca.GrowingCA())


def two_cells():
    """One green cell of the host; in the second run a red one of the adversary beside it."""
    state = np.zeros((2, 4, 4, 17), np.float32)
    state[:, 1, 1, [1, 3]] = 1.0
    state[1, 1, 2, 0], state[1, 1, 2, 16] = 0.5, 0.5
    return state


def test_what_is_seen_in_each_run():
    target = np.zeros((4, 4, 4), np.float32)
    found = look_at(STEP, two_cells(), target)
    assert found["share"] == [0.0, 0.5]
    assert found["cells"] == [1, 2]
    np.testing.assert_allclose(found["red"], [-1.0, -0.25])
    np.testing.assert_allclose(found["red_of_host"], [-1.0, -1.0])
    np.testing.assert_allclose(found["error"], [2 / 64, 2.5 / 64])


def test_a_host_alone_has_no_adversaries():
    found = look_at(STEP.host, two_cells()[..., :16])
    assert found["share"] == [0.0, 0.0]
    assert found["cells"] == [1, 1]
    assert "error" not in found


def test_a_mean_over_no_cells_is_not_a_number():
    taken = np.asarray(STEP.invade(two_cells(), np.ones((2, 4, 4))))
    found = look_at(STEP, taken)
    assert found["share"] == [1.0, 1.0]
    assert np.isnan(found["red_of_host"]).all()
    assert look_at(STEP, 0 * taken)["share"] == [0.0, 0.0]


def test_a_run_is_measured_along_its_path():
    rows, states = measure_invasion(STEP, two_cells(), (1, 3), seed=5)
    assert [row["step"] for row in rows] == [1, 3]
    expected = tfnca.rollout(STEP, two_cells(), 3, seed=5)
    np.testing.assert_array_equal(states[-1], expected)
    assert rows[1]["share"] == look_at(STEP, expected)["share"]


@pytest.mark.parametrize("cost", [0.3, -0.3])
def test_the_loss_sees_all_alphas_and_charges_for_the_adversarys(cost):
    state, target = two_cells(), np.zeros((4, 4, 4), np.float32)
    target[:2, :, 3] = 0.2
    state[:, 3, 3, 16] = 1.0  # outside of the picture
    free, dear = tfnca.InvasionLoss(target), tfnca.InvasionLoss(target, cell_cost=cost)
    np.testing.assert_allclose(free(state), look_at(STEP, state, target)["error"], atol=1e-6)
    np.testing.assert_allclose(dear(state) - free(state), [0.0, cost * 0.5 / 1.5], atol=1e-6)
    np.testing.assert_allclose(dear.rank(state), free(state), atol=1e-6)


def test_a_cost_is_a_number():
    with pytest.raises(ValueError, match=r"cell_cost must be a finite .* Received: cell_cost=nan"):
        tfnca.InvasionLoss(np.zeros((4, 4, 4)), cell_cost=np.nan)
