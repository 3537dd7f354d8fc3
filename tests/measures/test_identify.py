"""What a file's candidates do: the right rule grows and settles, a wrong one does not."""

import keras
import numpy as np
import pytest

import tfnca
from tfnca.__main__ import main
from tfnca.automata.neural_ca import NeuralCA
from tfnca.measures.identify import behaviour


def weights_of(ca, path):
    names = [f"{layer}.{part}" for layer in range(2) for part in ("weight", "bias")]
    arrays = [np.asarray(weight) for weight in ca.get_weights()]
    np.savez(path, **dict(zip(names, arrays, strict=True)))


def test_the_bundled_lizard_is_told_apart(tmp_path, capsys):
    """As arrays alone it may be of several rules; the article's own is the one that settles."""
    weights_of(tfnca.load("growing_lizard"), tmp_path / "lizard.npz")
    out = tmp_path / "candidates.png"
    main(["identify", str(tmp_path / "lizard.npz"), "--out", str(out)])
    printed = capsys.readouterr().out
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| ")][1:]
    verdicts = {row[0].strip("| "): row[1] for row in rows}
    assert verdicts["growing"] == "settles"
    assert verdicts["filter-major"] in ("explodes", "dies", "keeps changing")
    assert out.stat().st_size > 1000


@pytest.mark.parametrize(
    ("kernel", "verdict"), [(0.0, "settles"), (-3.0, "dies"), (3.0, "explodes")]
)
def test_verdicts(kernel, verdict):
    """A CA whose alpha stays, falls or doubles with each step."""
    ca = NeuralCA(4, ("identity",), hidden=(), alive=tfnca.Alpha(), fire_rate=1.0)
    weight = np.zeros((4, 4), np.float32)
    weight[3, 3] = np.sign(kernel) * min(abs(kernel), 1.0)
    ca.set_weights([weight, np.zeros(4, np.float32)])
    found = behaviour("growing", ca, steps=40, size=9)
    assert found.verdict == verdict
    assert found.picture.shape == (9, 9, 3)


def test_the_goal_of_a_rule_with_inputs_is_none():
    keras.utils.set_random_seed(0)
    ca = NeuralCA(6, (), learned={"multiplier": 2}, inputs=2, alive=tfnca.Alpha(), hidden=4)
    assert behaviour("goal", ca, steps=4, size=8).verdict == "settles"
