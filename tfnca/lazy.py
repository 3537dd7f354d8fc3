"""Packages that load when they are used: TensorFlow takes seconds, and ``--help`` needs none."""

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
    """Delays the imports of a package until one of its names is first used.

    After that, the package is the same as if it had imported its modules directly.

    Args:
        package: The package's ``__name__``.
        homes: For each module of the package, the names that it defines, separated by spaces.

    Returns:
        A function that imports all modules; the package's ``__getattr__`` and its ``__dir__``.
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

    Keras can load a file only if the layers in it have been imported.
    """
    if "keras" in sys.modules:
        then()
    else:
        sys.meta_path.insert(0, _Watch(then))


class _Watch(MetaPathFinder):
    """Finds no modules, but counts how many imports of these packages are in progress.

    TensorFlow imports Keras, and our modules import both. While one of them is half loaded, nothing
    else may import it, so `then` is called at the end of the outermost import.
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
