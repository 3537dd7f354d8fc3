"""What the documents say is true: Python runs, commands and links exist, numbers are current."""

import re
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
import words
from PIL import Image

import tfnca
from tfnca.__main__ import COMMANDS, JOBS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "export/web/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "saved_models").glob("*.md")),
]
CARDS = sorted((ROOT / "saved_models").glob("**/*/README.md"))
"""Their Python is run by tests/zoo/test_cards.py, one card of each kind."""


def named(path):
    return str(path.relative_to(ROOT))


FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.M | re.S)
"""A block from its opening to its own closing fence."""


def blocks(path, language):
    found = FENCE.findall(path.read_text())
    return [source for name, source in found if re.fullmatch(language, name)]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with what a reader has: the trained models, and a CA and pictures of their own."""
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    keras.saving.save_model(tfnca.GrowingCA(hidden=8), tmp_path / "mine.keras")
    Image.fromarray(np.full((40, 40, 4), 200, np.uint8)).save(tmp_path / "mine.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if blocks(path, "python")], ids=named)
def test_the_python_of_a_document_runs(path, desk):
    namespace = {}
    for number, source in enumerate(blocks(path, "python")):
        exec(compile(source, f"{path.name}, block {number}", "exec"), namespace)


COMMAND = re.compile(
    r"-m (?P<module>tfnca[\w.]*)|(?P<script>(?:train|export|benchmarks)/\w+\.py)"
    r"|tfnca (?P<command>[a-z]+)(?: (?P<job>[a-z_]+))?"
)


def commands():
    """Each command line of the documents that is one of this project."""
    for path in [*DOCUMENTS, *CARDS]:
        text = re.sub(r"\\\n\s*", " ", FENCE.sub("", path.read_text()))
        code = [*re.findall(r"`([^`]+)`", text), *"".join(blocks(path, "(?:sh|bash)?")).split("\n")]
        for line in code:
            line = " ".join(line.split()).removeprefix("python ")
            if found := COMMAND.match(line):
                yield path, found, line


def declared(found):
    """The sources that declare a command's options, its own first."""
    if found["module"]:
        path = ROOT.joinpath(*found["module"].split("."))
        own = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        shared = "tfnca/cli"
    elif found["script"]:
        own = ROOT / found["script"]
        shared = "tfnca/cli" if found["script"].startswith("export") else "tfnca/jobs/options"
    elif found["command"] in JOBS:
        own = ROOT / f"tfnca/jobs/options/{JOBS[found['command']].get(found['job'])}.py"
        shared = "tfnca/jobs/options"
    elif found["command"] in COMMANDS:
        own, shared = ROOT / f"tfnca/cli/{found['command']}.py", "tfnca/cli"
    else:
        places = (ROOT / f"tfnca/{place}{found['command']}.py" for place in ("", "jobs/"))
        own = next((path for path in places if path.is_file()), ROOT / "none")
        shared = "tfnca/jobs/options"
    return [own, *(ROOT / shared).glob("*.py"), ROOT / "tfnca/commands.py"]


def test_every_command_exists_with_its_options():
    every = list(commands())
    assert len(every) > 40
    for path, found, line in every:
        sources = declared(found)
        assert sources[0].is_file(), f"{named(path)}: {line}"
        text = "".join(source.read_text() for source in sources)
        for option in re.findall(r"(?<!\w)--([a-z][a-z-]+)", line):
            field = option.removeprefix("no-").replace("-", "_")
            known = f'"--{option}"' in text or re.search(rf"^    {field}: ", text, flags=re.M)
            assert known, f"{named(path)}: --{option} in {line}"


def test_every_link_leads_somewhere():
    for path in [*DOCUMENTS, *CARDS]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
            assert (path.parent / target).exists(), f"{named(path)}: {target}"


def test_every_quoted_number_is_the_measured_one():
    stale = runpy.run_path(str(ROOT / "docs/quotes.py"))["stale"]
    assert [named(path) for path, _ in stale()] == [], "run: make cards"


@pytest.mark.parametrize(
    ("written", "now"),
    [
        ("<!-- host: base 200 right -->0.1", "<!-- host: base 200 right -->0.9"),
        ("<!-- host: base 200 right -->10.00 %", "<!-- host: base 200 right -->91.25 %"),
        ("<!-- host: wounds -->3 of 64", "<!-- host: wounds -->1,234 of 64"),
    ],
)
def test_a_quote_keeps_its_decimals_and_its_unit(written, now, tmp_path):
    metrics = '{"base": [{"step": 20, "right": 0}, {"step": 200, "right": 0.9125}], "wounds": 1234}'
    (tmp_path / "saved_models/host").mkdir(parents=True)
    (tmp_path / "saved_models/host/metrics.json").write_text(metrics)
    quotes = runpy.run_path(str(ROOT / "docs/quotes.py"))
    quotes["measured"].__globals__["ROOT"] = tmp_path
    assert quotes["QUOTE"].sub(quotes["current"], written) == now


def test_documents_and_code_use_none_of_the_listed_words():
    paths = [ROOT / path for path in words.DOCUMENTS + words.CODE]
    assert list(words.find(words.files(paths))) == []


def test_words_are_found_in_prose_and_not_in_code(tmp_path):
    page, script = tmp_path / "page.md", tmp_path / "script.py"
    page.write_text("A liar.\n`liar`\n```\nliar\n```\n<!-- liar -->\nTwo [liars](liar.md).\n")
    script.write_text("liar = d['liar'], f'{liar} and'\n'''A liar, `liar`.'''\nx = 2  # liars\n")
    found = [line.removeprefix(f"{tmp_path}/") for line in words.find([page, script])]
    assert [line.split(";")[0] for line in found] == [
        "page.md:1: “liar”",
        "page.md:7: “liars”",
        "script.py:2: “liar”",
        "script.py:3: “liars”",
    ]
