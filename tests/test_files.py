"""Files and folders that are written whole or not at all, and text that is UTF-8 everywhere."""

import ast
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

import tfnca
from tfnca.files import remove_leftovers, replacing, write_atomically, writing

ROOT = Path(tfnca.__file__).parents[1]
FOLDERS = ("tfnca", "train", "export", "benchmarks", "docs")
SOURCES = [
    path
    for name in FOLDERS
    for path in sorted((ROOT / name).rglob("*.py"))
    if "node_modules" not in path.parts
]


def export(folder, text):
    with replacing(folder, "mark") as temporary:
        (temporary / "mark").write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def text_calls(path):
    """The calls in a source that read or write text, and whether each says its encoding."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        values = [getattr(each, "value", None) for each in node.args]
        values += [getattr(each.value, "value", None) for each in node.keywords]
        opens = name in ("open", "fdopen") and getattr(node.func, "value", None) is None
        opens = opens or ast.unparse(node.func) in ("os.fdopen", "tempfile.TemporaryFile")
        is_binary = any(isinstance(value, str) and "b" in value for value in values[1:] or values)
        if name in ("read_text", "write_text") or (opens and not is_binary):
            yield node.lineno, any(each.arg == "encoding" for each in node.keywords)


def test_text_is_utf_8_whatever_the_system_prefers():
    found = {f"{path}:{line}": said for path in SOURCES for line, said in text_calls(path)}
    assert len(found) > 40
    assert [place for place, said in found.items() if not said] == []


def test_an_older_export_is_replaced(tmp_path):
    for text in ("one", "two"):
        export(tmp_path / "out", text)
    assert (tmp_path / "out" / "mark").read_text() == "two"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("failing", ["new", "old"])
def test_an_export_that_cannot_take_its_place_leaves_the_older_one(tmp_path, monkeypatch, failing):
    export(tmp_path / "out", "one")
    rename = Path.rename

    def refuse(self, target):
        if self.name.endswith(".tmp" if failing == "new" else "out"):
            raise OSError(errno.EACCES, "no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match="no"):
        export(tmp_path / "out", "two")
    assert (tmp_path / "out" / "mark").read_text() == "one"
    assert names(tmp_path) == ["out"]


def test_of_two_exports_at_once_one_stays_whole(tmp_path):
    export(tmp_path / "out", "old")
    both, errors = threading.Barrier(2), []

    def many(text):
        try:
            for _ in range(50):
                with replacing(tmp_path / "out", "mark") as temporary:
                    for name in ("mark", "more"):
                        (temporary / name).write_text(text)
                    both.wait()
        except Exception as error:
            both.abort()
            errors.append(error)

    threads = [threading.Thread(target=many, args=(text,)) for text in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert names(tmp_path) == ["out"]
    assert len({path.read_text() for path in (tmp_path / "out").iterdir()}) == 1


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    export(tmp_path / "elsewhere" / "real", "one")
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere" / "real")
    export(tmp_path / "out", "two")
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "elsewhere" / "real" / "mark").read_text() == "two"
    assert names(tmp_path / "elsewhere") == ["real"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_export_stays(tmp_path, kind):
    if kind == "file":
        (tmp_path / "out").write_text("mine")
    else:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(ValueError, match=r"new or contain an older export.*Received: .*out"):
        export(tmp_path / "out", "one")
    assert names(tmp_path) == ["out"]


def test_an_export_has_the_rights_of_any_folder(tmp_path):
    export(tmp_path / "out", "one")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    write_atomically(tmp_path / "a.txt", "ü")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xbc"

    def stumble():
        with writing(tmp_path / "a.txt") as temporary:
            assert temporary.suffix == ".txt"
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        stumble()
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "ü"
    assert names(tmp_path) == ["a.txt"]


def test_what_a_killed_run_left_is_removed(tmp_path):
    with writing(tmp_path / "model.keras") as file, replacing(tmp_path / "tfjs", "mark") as folder:
        file.write_text("half")
        shutil.copytree(folder, tmp_path / f"{folder.name}.old")
        shutil.copy(file, tmp_path / "kept")
        remove_leftovers(tmp_path)
        assert names(tmp_path) == ["kept"]
        file.write_text("whole")
        folder.mkdir()
        os.utime(folder)
