"""Packages that load once they are used: TensorFlow takes seconds, and ``--help`` needs none."""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from tfnca.deprecated import CLASSES, current_class


def lazily(
    package: str, homes: dict[str, str]
) -> tuple[Callable[[], None], Callable[[str], Any], Callable[[], list[str]]]:
    """A package whose modules are imported when one of its names is first asked for.

    From then on the package is as if it had imported them itself.

    Args:
        package: Its ``__name__``.
        homes: Names, with spaces between them, by the module of the package that defines them.

    Returns:
        A function that imports them all; the package's ``__getattr__`` and its ``__dir__``.
    """
    contents = vars(sys.modules[package])
    offered = " ".join(homes.values()).split()
    known = {*offered, *(home.split(".")[0] for home in homes)}

    def load() -> None:
        for home, names in homes.items():
            module = importlib.import_module(f"{package}.{home}")
            contents.update({name: getattr(module, name) for name in names.split()})

    def attribute(name: str) -> Any:
        if name in known or CLASSES.get(name) in known:
            load()
        return contents[name] if name in known else current_class(name, contents, package)

    return load, attribute, lambda: sorted({*contents, *offered})


def when_keras_is_loaded(then: Callable[[], None]) -> None:
    """Calls `then` now if Keras is loaded, or else at the end of the import that loads it.

    Keras knows the layers of a file that it loads only if they have been imported by then.
    """
    if "keras" in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _Watch(then))


class _Watch(MetaPathFinder):
    """Finds no module itself, and counts how deep in imports of these we are.

    Keras is imported from within TensorFlow, and both from within our modules. While one of them is
    half loaded nothing may import it, so `then` waits for the end of the outermost.
    """

    def __init__(self, then: Callable[[], None]) -> None:
        self.then, self.depth = then, 0

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in ("keras", "tensorflow") and not name.startswith("tfnca."):
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                self.depth += 1
                try:
                    execute(module)
                finally:
                    self.depth -= 1
                if self.depth == 0 and "keras" in sys.modules and self in sys.meta_path:
                    sys.meta_path.remove(self)
                    self.then()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
