"""Placement: what is asked of the CA is what a rollout gives, and searches find what is there."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest

import tfnca
from tfnca.measures.digits import has_flipped
from tfnca.measures.progress import SILENT
from tfnca.placement.graphs import CENTRALITIES, by_centrality, stroke_graph
from tfnca.placement.influence import influence_maps
from tfnca.placement.relaxed import relaxed
from tfnca.placement.search import anneal, at_random, exhaust, greedy
from tfnca.placement.study import diminishing, study_placement
from tfnca.placement.trials import Trials

STEP = tfnca.load_attack("mnist_adversary")
DIGITS = tfnca.load_digits("test", count=6)


class Counting:
    """A progress bar that counts."""

    done = 0

    def update(self, number):
        self.done += number

    def close(self):
        pass


class Covering:
    """Trials of a set function that is known: the share of points that chosen cells cover."""

    def __init__(self, covers, points):
        self.covers, self.points = covers, points
        self.alive = np.ones((2, 1, len(covers)), bool)
        self.asked = 0

    def cells(self, digit):
        return np.arange(len(self.covers))

    def ask(self, queries, seed=None, bar=None):
        self.asked += len(queries)
        unions = [set().union(*(self.covers[cell] for cell in cells)) for _, cells in queries]
        return SimpleNamespace(value=np.array([len(union) / self.points for union in unions]))


def covering(seed, cells=12, points=30):
    random = np.random.default_rng(seed)
    return Covering([set(random.choice(points, 6).tolist()) for _ in range(cells)], points)


def plain_greedy(trials, budget):
    chosen = []
    for _ in range(budget):
        left = [cell for cell in trials.cells(0).tolist() if cell not in chosen]
        values = trials.ask([(0, [*chosen, cell]) for cell in left]).value
        chosen.append(left[int(values.argmax())])
    return chosen


def test_an_answer_is_what_a_rollout_gives():
    trials = Trials(STEP, DIGITS.images, steps=20, every=5)
    queries = [(digit, trials.cells(digit)[[3, 9]]) for digit in range(4)]
    found = trials.ask(queries, seed=7)
    mask = trials.mask(queries)
    assert mask.sum() == 8
    assert np.all(mask <= trials.alive[:4])
    state = tfnca.digit_state(DIGITS.images[:4])
    for place, stop in enumerate(trials.stops):
        state = tfnca.rollout(STEP, state, 5, mask=mask, seed=7, step_offset=stop - 5)
        np.testing.assert_array_equal(found.path[:, place] >= 0.5, has_flipped(state, mask, 8))
    said = np.asarray(tfnca.class_logits(state)).argmax(-1)
    hosts = trials.alive[:4] & (mask == 0)
    for digit in range(4):
        counts = np.bincount(said[digit][hosts[digit]], minlength=10)
        np.testing.assert_allclose(found.says[digit], counts / hosts[digit].sum())
        assert found.path[digit, -1] == found.says[digit, 8]


def test_nobody_takes_nothing():
    trials = Trials(STEP, DIGITS.images[DIGITS.labels != 8], steps=60)
    nobody = trials.ask([(digit, []) for digit in range(len(trials.alive))])
    assert nobody.value.max() < 0.2
    assert not nobody.taken.any()


def test_a_map_has_a_value_for_each_cell_of_the_stroke():
    (found,) = influence_maps(STEP, DIGITS.images[:1], steps=20, seed=3)
    picture = found.picture(found.outcome.value)
    np.testing.assert_array_equal(~np.isnan(picture), DIGITS.images[0] > 0.1)
    trials = Trials(STEP, DIGITS.images[:1], steps=20)
    again = trials.ask([(0, [cell]) for cell in found.cells], seed=3)
    np.testing.assert_array_equal(again.value, found.outcome.value)


@pytest.mark.parametrize("seed", range(5))
def test_lazy_greedy_chooses_what_greedy_does(seed):
    lazy, plain = covering(seed), covering(seed)
    chosen = greedy(lazy, 4, tolerance=0.0, width=1)[0]
    expected = plain_greedy(plain, 4)
    values = [lazy.ask([(0, cells[:b])]).value[0] for cells in (chosen, expected) for b in (1, 4)]
    assert values[:2] == values[2:]
    assert lazy.asked < 2 * plain.asked  # it had two digits, alike


@pytest.mark.parametrize("seed", range(3))
def test_slow_searches_find_the_best_pair(seed):
    trials = covering(seed)
    pairs = itertools.combinations(range(12), 2)
    best = max(trials.ask([(0, pair)]).value[0] for pair in pairs)
    pair, value = exhaust(trials, 0)
    assert value == pytest.approx(best)
    assert trials.ask([(0, pair)]).value[0] == best
    annealed = anneal(trials, 2, tries=400, seed=seed)[0]
    assert trials.ask([(0, annealed)]).value[0] == best


def test_the_best_pair_is_not_the_luckiest(monkeypatch):
    trials = covering(0)
    exact, (_, best) = trials.ask, exhaust(trials, 0)

    def with_luck(queries, seed=0, bar=None):
        found = exact(queries, seed)
        luck = np.random.default_rng(seed).normal(scale=0.1, size=len(found.value))
        return SimpleNamespace(value=found.value + luck)

    monkeypatch.setattr(trials, "ask", with_luck)
    chosen = [exhaust(trials, 0, repeats=repeats, seed=3)[0] for repeats in (1, 400)]
    worth = [exact([(0, pair)]).value[0] for pair in chosen]
    assert worth[0] < best - 0.01
    assert worth[1] == pytest.approx(best)


def test_a_random_placement_is_distinct_cells_of_the_stroke():
    trials = Trials(STEP, DIGITS.images)
    for digit, cells in enumerate(at_random(trials, 5, seed=1)):
        assert len(set(cells)) == 5
        assert set(cells) <= set(trials.cells(digit).tolist())
    assert at_random(trials, 5, seed=1) != at_random(trials, 5, seed=2)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("most neighbours", slice(1, 6)),
        ("eigenvector", slice(1, 6)),
        ("eigenvector", slice(3, 4)),
        ("betweenness", slice(3, 4)),
    ],
)
def test_the_middle_of_a_cross_or_a_line_is_its_most_central_cell(name, rows):
    image = np.zeros((1, 7, 7), np.float32)
    image[0, 3, 1:6] = image[0, rows, 3] = 1
    (cells,) = by_centrality(Trials(STEP, image), 1, name)
    assert cells == [3 * 7 + 3]


def test_cells_of_a_stroke_touch_by_edges_and_corners():
    alive = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
    assert sorted(map(sorted, stroke_graph(alive).edges)) == [[0, 5], [3, 7]]


def test_a_gradient_chooses_distinct_cells_of_the_stroke():
    trials = Trials(STEP, DIGITS.images[:3])
    found = relaxed(trials, 3, updates=2, steps=3)
    for digit, cells in enumerate(found):
        assert len(set(cells)) == 3
        assert set(cells) <= set(trials.cells(digit).tolist())
    assert found != relaxed(trials, 3, updates=2, steps=3, seed=1)


def test_returns_diminish_where_points_are_covered_and_not_where_two_are_needed():
    covered = diminishing(covering(0), sizes=(0, 4, 8), repeats=2)
    assert covered[0]["gain"] >= covered[1]["gain"] >= covered[2]["gain"]
    assert not any(row.get("rises") for row in covered)

    class Both(Covering):
        def ask(self, queries, seed=None, bar=None):
            return SimpleNamespace(value=np.array([float(len(c) > 1) for _, c in queries]))

    assert diminishing(Both([{0}] * 4, 1), sizes=(0, 1), repeats=2)[1]["rises"] == 1


@pytest.mark.slow
def test_a_study_has_a_row_for_each_method_budget_and_set_of_digits(monkeypatch):
    images = np.zeros((4, 28, 28), np.float32)
    images[:, 10:14, 12:15] = 0.9
    digits = tfnca.Digits(images, np.array([3, 8, 1, 5]), "made here")
    bar, rollouts = Counting(), []
    ask = Trials.ask

    def counted(trials, queries, seed=None, bar=SILENT):
        queries = list(queries)
        rollouts.append(len(queries))
        return ask(trials, queries, seed, bar)

    monkeypatch.setattr(Trials, "ask", counted)
    found = study_placement(
        STEP, digits, (1, 2), (0,), searched=2, annealed=(2,), steps=4, progress=lambda total: bar
    )
    json.dumps(found)
    assert bar.done >= sum(rollouts)  # no stage of a long study stands still
    everywhere = {"greedy", "most influential", "random", *CENTRALITIES}
    rows = {(row["method"], row["budget"], row["digits"]) for row in found["curves"]}
    assert rows == {
        *itertools.product(everywhere, (1, 2), (2, 3)),
        *itertools.product(["gradient"], (1, 2), [2]),
        ("annealing", 2, 2),
    }
    assert {row["method"] for row in found["one_percent"]} == everywhere
    assert found["numbers"] == [0, 2, 3]
    assert found["pairs"]["pairs"] == 2 * 12 * 11 // 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"step": tfnca.MNISTCA()}, "step must be Injected"),
        ({"images": 255 * DIGITS.images}, r"in \[0, 1\]"),
        ({"target": 10}, "10"),
        ({"steps": 0}, "steps"),
        ({"every": 2.5}, "every"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"step": STEP, "images": DIGITS.images} | change
    with pytest.raises(ValueError, match=message):
        Trials(**arguments)


def test_a_cell_outside_the_grid_is_refused():
    with pytest.raises(ValueError, match="0 to 783"):
        Trials(STEP, DIGITS.images).mask([(0, [784])])


def test_a_map_by_command(tmp_path, command):
    models = "saved_models/mnist_adversary/model.keras", "--host", "saved_models/mnist/model.keras"
    options = "--map", 1, "--steps", 6, "--out", tmp_path
    code, said, complaints = command("tfnca.placement", *models, *options)
    assert code == 0, complaints
    assert "Best cell: row" in said
    assert (tmp_path / "map_1.png").read_bytes().startswith(b"\x89PNG")


def test_a_lizards_cells_have_influence_too():
    """Where nothing is known of digits: a batch to begin with, and a goal."""
    target, plain = (tfnca.pad_target(tfnca.load_target(n, 8), 2) for n in ("no_tail", "lizard"))
    host = tfnca.GrowingCA(hidden=8)
    adversary = tfnca.GrowingCA(hidden=8)
    *weights, bias = adversary.get_weights()
    bias[:4] = 0.5
    adversary.set_weights([*weights, bias])
    step, goal = tfnca.Injected(host, adversary), tfnca.PatternTask(target)
    full = np.concatenate([plain, np.zeros((*plain.shape[:2], 12), np.float32)], -1)[None]
    batch = tfnca.Batch(state=full)
    (found,) = influence_maps(step, batch, goal, steps=4, seed=3)
    np.testing.assert_array_equal(found.cells, np.flatnonzero(target[..., 3] >= 0.1))
    trials = Trials(step, batch, goal, steps=4, seed=3)
    queries = [(0, found.cells[:1]), (0, [])]
    one, none = trials.ask(queries).path[:, -1]
    state = tfnca.rollout(step, np.repeat(full, 2, 0), 4, mask=trials.mask(queries), seed=3)
    errors = np.square(np.asarray(state, np.float64)[..., :4] - target).mean(-1)
    hosts = (target[..., 3] >= 0.1) & (trials.mask(queries) == 0)
    expected = [1 - errors[i][hosts[i]].mean() for i in range(2)]
    assert [one, none] == pytest.approx(expected)
    assert relaxed(trials, 2, updates=2, steps=3)[0] != []
    assert len(greedy(trials, 2)[0]) == 2
    with pytest.raises(ValueError, match="must be Injected"):
        Trials(tfnca.Perturbed(host), batch, goal)
