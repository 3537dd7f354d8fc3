"""The notebooks run from top to bottom with what ships."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tfnca.data.targets import load_target, pad_target
from tfnca.measures.lizard import lost_cells

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, monkeypatch):
    matplotlib.use("Agg")
    monkeypatch.chdir(path.parent)
    cells = json.loads(path.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    namespace = {}
    for number, source in enumerate(code):
        exec(compile(source, f"{path.name}, code cell {number}", "exec"), namespace)
    assert plt.get_fignums()
    plt.close("all")


def test_there_is_one_for_each_part_of_the_article():
    assert [path.stem for path in NOTEBOOKS] == ["1_digits", "2_injections", "3_perturbations"]


def test_the_quick_start_of_the_readme_does_what_it_says(monkeypatch, tmp_path):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(tmp_path)
    source = (root / "README.md").read_text().split("```python\n")[1].split("```")[0]
    namespace = {}
    exec(compile(source, "README.md", "exec"), namespace)
    assert (tmp_path / "quick_start.png").stat().st_size > 1000
    plain, tailless = (pad_target(load_target(name)) for name in ("lizard", "no_tail"))
    tail = lost_cells(plain, tailless)
    grown, attacked, lifted = (
        np.asarray(namespace[name])[0, ..., 3][tail].mean()
        for name in ("grown", "attacked", "lifted")
    )
    assert attacked < 0.5 * grown
    assert lifted > 0.9 * grown
