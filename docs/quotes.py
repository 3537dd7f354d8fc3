"""Brings the numbers that documents quote up to date: ``python docs/quotes.py``.

A quote is a comment and a number: ``<!-- mnist_adversary: attack 400 takeover -->99.5 %``. The
comment names a folder of saved_models and the way to the number in its metrics.json, where a list
of rows is entered by its `step`. The number keeps its decimals; before " %" it is a percentage.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUOTE = re.compile(
    r"(<!-- (?P<model>[\w/]+): (?P<way>[\w ]+) -->)(?P<number>[\d.,]*\d)(?P<percent> ?%)?"
)


def measured(model: str, way: str) -> float:
    """A number of a model's metrics.json."""
    value = json.loads((ROOT / "saved_models" / model / "metrics.json").read_text(encoding="utf-8"))
    for key in way.split():
        if isinstance(value, list):
            value = next(row for row in value if row["step"] == int(key))
        else:
            value = value[key]
    return float(value)


def current(quote: re.Match) -> str:
    """A quote with the number as it is now."""
    decimals = len(quote["number"].partition(".")[2])
    value = measured(quote["model"], quote["way"]) * (100 if quote["percent"] else 1)
    return f"{quote[1]}{value:,.{decimals}f}{quote['percent'] or ''}"


def stale() -> Iterator[tuple[Path, str]]:
    """The documents with a number that is out of date, each with its new text."""
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        new = QUOTE.sub(current, text)
        if new != text:
            yield path, new


if __name__ == "__main__":
    for path, text in stale():
        path.write_text(text, encoding="utf-8")
        print(f"Wrote {path.relative_to(ROOT)}")
