"""The notebooks run from top to bottom with what ships."""

import json
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pytest

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


def test_the_quick_start_of_the_readme_does_what_it_says(monkeypatch):
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    source = (root / "README.md").read_text().split("```python\n")[1].split("```")[0]
    namespace = {}
    exec(compile(source, "README.md", "exec"), namespace)
    strokes = namespace["digits"].images > 0.1
    assert (namespace["says"] == 8)[strokes].mean() > 0.8
