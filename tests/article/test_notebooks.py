"""The notebooks run from top to bottom with what ships."""

import ast
import json
import re
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from foreign import foreign

from tfnca.data.targets import load_target, pad_target
from tfnca.measures.lizard import lost_cells

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))
ALL = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem[0] in "678"))
    for path in NOTEBOOKS
]

NUMBER = re.compile(r"-?\d+\.?\d*(?:e[-+]\d+)?")


def stored_text(cell):
    """What a code cell's last expression is stored to give."""
    results = [out for out in cell["outputs"] if out["output_type"] == "execute_result"]
    return "".join(results[-1]["data"].get("text/plain", "")) or None if results else None


@pytest.mark.parametrize("path", ALL)
def test_a_notebook_runs_and_gives_what_is_stored_in_it(path, monkeypatch):
    """Words to the letter, numbers within a tenth, unless a training's outcome (varies)."""
    if "TFNCA_FOREIGN" in path.read_text():
        monkeypatch.setenv("TFNCA_FOREIGN", str(foreign()))
    matplotlib.use("Agg")
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("TFNCA_NOTEBOOK_STEPS", "2")
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    namespace, pictures = {}, 0
    for number, cell in enumerate(cells):
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        name = f"{path.name}, code cell {number}"
        exec(compile(tree, name, "exec"), namespace)
        value = last and eval(compile(ast.Expression(last.value), name, "eval"), namespace)
        pictures += any("image/png" in output.get("data", {}) for output in cell["outputs"])
        said = stored_text(cell)
        if said is None or "varies" in cell["metadata"].get("tags", ()):
            continue
        now = re.sub(r"\s+", " ", repr(value))
        said = re.sub(r"\s+", " ", said)
        assert NUMBER.sub("#", now) == NUMBER.sub("#", said), name
        numbers = [list(map(float, NUMBER.findall(text))) for text in (now, said)]
        np.testing.assert_allclose(*numbers, atol=1e-4, rtol=0.1, err_msg=name)
    assert pictures >= 3, "run `make notebooks`, which stores what they show"
    assert path.stat().st_size < 400_000
    plt.close("all")


def test_there_is_one_for_each_part_of_the_article_one_for_your_own_and_others_beyond():
    names = ["1_digits", "2_injections", "3_perturbations", "4_attack_your_own"]
    names += ["5_where_it_hurts", "6_textures", "7_segmentation", "8_what_stays"]
    assert [path.stem for path in NOTEBOOKS] == names


def test_the_quick_start_of_the_readme_does_what_it_says(monkeypatch, tmp_path):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(tmp_path)
    source = (root / "README.md").read_text().split("```python\n")[1].split("```")[0]
    namespace = {}
    exec(compile(source, "README.md", "exec"), namespace)
    assert (tmp_path / "quick_start.png").stat().st_size > 1000
    plain, tailless = (pad_target(load_target(name)) for name in ("lizard", "no_tail"))
    tail = lost_cells(plain, tailless)
    grown, attacked, recovered = (
        np.asarray(namespace[name])[0, ..., 3][tail].mean()
        for name in ("grown", "attacked", "recovered")
    )
    assert attacked < 0.5 * grown
    assert recovered > 0.9 * grown
