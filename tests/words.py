"""Finds words that the documents should not use: ``python tests/words.py [FILE or FOLDER ...]``.

``tests/words.txt`` lists them with what to write instead. Without arguments this reads `DOCUMENTS`
and `CODE`. Of Markdown and notebooks only the prose counts; of Python the docstrings, comments and
messages, without names such as ``"flipped"`` and other code; of other files everything.
"""

import json
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs", "export/web/README.md"]
CODE = [
    "benchmarks",
    "export/cards.py",
    "export/distill_demo.py",
    "export/portable.py",
    "export/previews.py",
    "export/saved_model.py",
    "export/shipped.py",
    "export/tfjs.py",
    "tfnca/__main__.py",
    "tfnca/article",
    "tfnca/automata",
    "tfnca/choices.py",
    "tfnca/cli",
    "tfnca/commands.py",
    "tfnca/data",
    "tfnca/defence",
    "tfnca/deprecated.py",
    "tfnca/engines",
    "tfnca/export",
    "tfnca/files.py",
    "tfnca/formats",
    "tfnca/jobs",
    "tfnca/lazy.py",
    "tfnca/measures",
    "tfnca/patience.py",
    "tfnca/pictures.py",
    "tfnca/placement",
    "tfnca/play.py",
    "tfnca/plots.py",
    "tfnca/training",
    "tfnca/zoo",
    "train",
]
PYTHON_PROSE = {
    tokenize.COMMENT,
    tokenize.STRING,
    getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING),  # Python 3.12 and later
}
SUFFIXES = {".md", ".ipynb", ".py", ".js", ".mjs", ".html"}
NOT_PROSE = re.compile(
    r"^(```|~~~).*?^\1$|<!--.*?-->|`[^`\n]+`|\]\([^)]*\)|<[a-z/][^>]*>", flags=re.M | re.S
)
"""Of Markdown: code, comments, addresses of links, HTML tags."""
NAMES = re.compile(
    r"``[^`]+``|`[^`]+`|^ +\w+(?=: )|--[a-z-]+|\{[^{}]*\}|^ *>>>.*$|^\"[a-z\d_ ]+_[a-z\d_ ]+\"$",
    flags=re.M,
)
"""Of Python's strings and comments: names, arguments, options, values in an f-string, examples,
and fields of a named tuple."""


def words() -> list[tuple[re.Pattern, str]]:
    """Each pattern with what to write instead."""
    lines = (ROOT / "tests/words.txt").read_text().splitlines()
    pairs = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return [(re.compile(rf"\b(?:{word})\b", re.I), better) for word, better in pairs]


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Pieces of a file that a person reads, each with the number of its first line."""
    if path.suffix == ".py":
        with path.open("rb") as file:
            for token in tokenize.tokenize(file.readline):
                if token.type in PYTHON_PROSE and " " in token.string:
                    yield token.start[0], without(NAMES, token.string)
    elif path.suffix == ".ipynb":
        for number, cell in enumerate(json.loads(path.read_text())["cells"]):
            if cell["cell_type"] == "markdown":
                yield number, without(NOT_PROSE, "".join(cell["source"]))
    else:
        text = path.read_text()
        yield 1, without(NOT_PROSE, text) if path.suffix == ".md" else text


def without(code: re.Pattern, text: str) -> str:
    """The prose of a text, every line where it was."""
    return code.sub(lambda match: " " + "\n" * match[0].count("\n"), text)


def find(paths: list[Path]) -> Iterator[str]:
    """A line for each word found: where, the word, what to write instead."""
    patterns = words()
    for path in paths:
        for first, text in prose(path):
            for pattern, better in patterns:
                for match in pattern.finditer(text):
                    line = (
                        first
                        if path.suffix == ".ipynb"
                        else first + text.count("\n", 0, match.start())
                    )
                    yield f"{path}:{line}: “{match[0]}”; write: {better}"


def files(paths: list[Path]) -> list[Path]:
    found = []
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in inside if file.suffix in SUFFIXES]
    return found


if __name__ == "__main__":
    given = [Path(path) for path in sys.argv[1:]] or [ROOT / path for path in DOCUMENTS + CODE]
    lines = list(find(files(given)))
    sys.exit("\n".join(lines) or 0)
