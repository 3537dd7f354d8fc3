"""The registry: a format is one file, asked for by no name; reading needs no compiled code."""

import ast
import types
from pathlib import Path

import keras
import pytest
from expected import assert_holds
from published_formats import growing_tensors, write

import tfnca
from tfnca.automata.identity import identity
from tfnca.automata.perturbations import StatePerturbation
from tfnca.formats import readers
from tfnca.formats.load import load
from tfnca.formats.readers.keras_file import known_classes

FORMATS = Path(tfnca.__file__).parent / "formats"


def test_every_file_in_the_folder_is_a_reader():
    modules = {reader.read.__module__.rpartition(".")[2] for reader in readers.READERS}
    assert modules == {path.stem for path in (FORMATS / "readers").glob("*.py")} - {
        "__init__",
        "base",
    }


def test_no_reader_is_asked_for_by_name():
    """Only other readers may import one."""
    names = [path.stem for path in (FORMATS / "readers").glob("*.py") if path.stem[0] != "_"]
    names.remove("base")
    for path in FORMATS.glob("*.py"):
        assert not {f"tfnca.formats.readers.{name}" for name in names} & {*imports(path)}, path


NEW_FORMAT = '''
"""Weights as words, one a line."""

import numpy as np

from tfnca.formats.build import build_ca
from tfnca.formats.readers import reader
from tfnca.formats.tensors import arrange


@reader(lambda name, data: data.startswith(b"#words"))
def read(source):
    lines = [line.split() for line in source.text.splitlines()[1:]]
    arrays = {
        f"{number}.{name}": np.array(values, np.float32).reshape([int(n) for n in shape.split("x")])
        for number, (name, shape, *values) in enumerate(lines)
    }
    return {"": build_ca(source.where, arrange(source.where, arrays), source.row_order)}
'''


def test_a_new_format_is_one_file(tmp_path, monkeypatch):
    tensors = growing_tensors(channels=5, hidden=4)
    lines = ["#words"] + [
        " ".join(["t", "x".join(map(str, tensor.shape)), *map(repr, tensor.ravel().tolist())])
        for tensor in tensors
    ]
    path = write(tmp_path / "ca.words", "\n".join(lines))
    with pytest.raises(ValueError, match="no model in a format"):
        load(path)
    monkeypatch.setattr(readers.base, "READERS", known := [*readers.READERS])
    monkeypatch.setattr("tfnca.formats.load.READERS", known)
    exec(compile(NEW_FORMAT, "words.py", "exec"), vars(types.ModuleType("words")))
    assert_holds(load(path), tensors)


def imports(path):
    """The modules that a file imports; of a package, its file too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_reading_loads_no_compiled_code():
    """Followed through the sources; the package's own ``__init__`` aside, which has everything."""
    pending, seen = list(FORMATS.rglob("*.py")), set()
    pending += (FORMATS.parent / "automata").rglob("*.py")  # found by their folder, not by name
    while pending:
        path = pending.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for module in imports(path):
            assert module.split(".")[0] != "numba", path
            assert not module.startswith("tfnca.engines"), path
            if module.startswith("tfnca."):
                file = FORMATS.parents[1].joinpath(*module.split("."))
                pending += [file.with_suffix(".py"), file / "__init__.py"]
    assert len(seen) > 20


# --- Classes in our own files -----------------------------------------------------------------


@pytest.fixture
def registered():
    """A function that registers a class with Keras, until the test ends."""
    names = []

    def register(cls, package="tfnca"):
        keras.saving.register_keras_serializable(package)(cls)
        names.append(f"{package}>{cls.__name__}")
        return cls

    yield register
    for name in names:
        keras.saving.get_custom_objects().pop(name, None)


def make_rolled():
    class Rolled(tfnca.GrowingCA):
        def call(self, state, **kwargs):
            return keras.ops.roll(super().call(state, **kwargs), 1, axis=1)

    return Rolled


def test_a_registered_subclass_loads(tmp_path, registered):
    rolled = registered(make_rolled())
    keras.saving.save_model(rolled(channels=6, hidden=4), tmp_path / "rolled.keras")
    assert type(load(tmp_path / "rolled.keras")) is rolled


def test_a_registered_kind_of_perturbation_loads(tmp_path, registered):
    class Halved(StatePerturbation):
        def call(self, state):
            return state * 0.5

    halved = registered(Halved)(6)
    halved.built = True
    keras.saving.save_model(halved, tmp_path / "halved.keras")
    assert type(load(tmp_path / "halved.keras")) is Halved


def test_a_subclass_that_is_not_imported_does_not_load(tmp_path, registered):
    keras.saving.save_model(registered(make_rolled())(), tmp_path / "rolled.keras")
    keras.saving.get_custom_objects().pop("tfnca>Rolled")
    with pytest.raises(ValueError, match="the class Rolled of test_readers is not registered"):
        load(tmp_path / "rolled.keras")


def test_a_class_loads_under_any_package_once_it_is_registered(tmp_path, registered):
    other = registered(make_rolled(), package="mine")
    keras.saving.save_model(tfnca.Injected(tfnca.GrowingCA(), other()), tmp_path / "both.keras")
    keras.saving.save_model(other(), tmp_path / "rolled.keras")
    assert type(load(tmp_path / "rolled.keras")) is other
    assert [type(ca) for ca in load(tmp_path / "both.keras").networks] == [tfnca.GrowingCA, other]
    keras.saving.get_custom_objects().pop("mine>Rolled")
    with pytest.raises(ValueError, match=r"not registered.*pass --plugin.*Received: 'mine>Rolled'"):
        load(tmp_path / "rolled.keras")


def test_a_class_of_ones_own_that_is_not_imported_is_not_taken_for_other_weights(
    tmp_path, registered
):
    class Blend(tfnca.automata.step.CellularAutomaton):
        """Layers of the shapes of a Growing CA, under names of their own."""

        channels = 16

        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.wide, self.out = keras.layers.Dense(128), keras.layers.Dense(16)
            self.wide.build((None, 48))
            self.out.build((None, 128))
            self.built = True

    keras.saving.save_model(registered(Blend, "mine")(), tmp_path / "blend.keras")
    keras.saving.get_custom_objects().pop("mine>Blend")
    with pytest.raises(ValueError, match="the class Blend of test_readers is not reg") as caught:
        load(tmp_path / "blend.keras")
    assert "convention" not in str(caught.value)
    assert load(tmp_path / "blend.keras", convention="growing").channels == 16


@pytest.mark.parametrize("package", ["mine", "tfnca"])
def test_a_class_of_the_same_name_as_ours_does_not_take_its_place(tmp_path, monkeypatch, package):
    ours = tfnca.GrowingCA
    theirs = type("GrowingCA", (ours,), {})
    known, name = keras.saving.get_custom_objects(), f"{package}>GrowingCA"
    monkeypatch.setitem(known, name, theirs)  # and at the test's end what was there
    keras.saving.register_keras_serializable(package)(theirs)
    assert type(load("growing_lizard")) is type(tfnca.load_attack("no_tail").host) is ours
    keras.saving.save_model(theirs(), tmp_path / "theirs.keras")
    assert type(load(tmp_path / "theirs.keras")) is theirs
    assert known[name] is theirs


SAVED = {
    "a bound without end": lambda: tfnca.MNISTCA(message_bound=float("inf")),
    "much noise": lambda: tfnca.MNISTCA(noise_std=1e5),
    "a tolerance without end": lambda: tfnca.Verified(
        tfnca.MNISTCA(), tfnca.MNISTCA(), tolerance=float("inf")
    ),
    "a wide layer": lambda: tfnca.GrowingCA(hidden=4097),
    "a long vector": lambda: tfnca.ShiftPerturbation(5000),
    "large steps": lambda: tfnca.GrowingCA(step_size=-1e6, angle=5000.0),
}


@pytest.mark.parametrize("name", SAVED)
def test_all_that_a_constructor_allows_is_saved_and_loaded(name, tmp_path):
    model = SAVED[name]()
    keras.saving.save_model(model, tmp_path / "model.keras")
    found = load(tmp_path / "model.keras")
    assert identity(found) == identity(model)


def test_what_is_registered_but_no_step_does_not_load(tmp_path, registered):
    """Even under our package's name."""

    class Loose(keras.layers.Layer):
        pass

    registered(Loose)
    assert "tfnca>Loose" not in known_classes()
    assert known_classes() >= {"tfnca>GrowingCA", "tfnca>Perturbed", "tfnca>StateShift"}
    layer = Loose()
    layer.build((None, 3))
    keras.saving.save_model(layer, tmp_path / "loose.keras")
    with pytest.raises(ValueError, match="the class Loose of test_readers is not registered"):
        load(tmp_path / "loose.keras")
