"""Runs the notebooks and stores what they show: ``make notebooks``, or with names of some.

Pictures are stored with few colours, times and warnings not at all, so that a notebook that gives
the same again stays the same file.
"""

import base64
import io
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).parent / "notebooks"
ADDRESS = ""
"""OWNER/PROJECT on GitHub, for a badge that opens each notebook in Colab; none while empty."""

COLAB = "https://colab.research.google.com"


def small(png: str) -> str:
    """A picture in base64 with at most 96 colours."""
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    buffer = io.BytesIO()
    picture.quantize(96, Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=3600, resources={"metadata": {"path": str(FOLDER)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            kept = [o for o in cell.outputs if o.get("name") != "stderr"]
            for output in kept:
                data = output.get("data", {})
                if "image/png" in data:
                    data["image/png"] = small(data["image/png"])
                    data.pop("text/plain", None)
            cell.outputs = kept
    notebook.cells = [cell for cell in notebook.cells if cell.get("id") != "colab"]
    if ADDRESS:
        link = f"{COLAB}/github/{ADDRESS}/blob/main/docs/notebooks/{path.name}"
        badge = nbformat.v4.new_markdown_cell(f"[![Colab]({COLAB}/assets/colab-badge.svg)]({link})")
        notebook.cells.insert(0, badge | {"id": "colab"})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        if not sys.argv[1:] or path.stem in sys.argv[1:]:
            print(path.name, flush=True)
            run(path)
