"""Readers: how a format is recognised, and how its files become models."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.formats.archive import Budget, Folder, decode, is_inside, parse_json
from tfnca.formats.conventions import ARTICLES, ROW_ORDERS

Model = Step | StatePerturbation
Models = dict[str, Model]
"""Models by their names; the first is the file's main model and may be called ``""``."""


@dataclasses.dataclass(frozen=True)
class Source:
    """A file, together with the files of its zip or folder.

    Attributes:
        where: Name of the file in messages.
        member: Its name among `files`.
        files: The files of its zip or folder.
        budget: The budget for everything that is unpacked.
        convention: The rule with which its weights were trained, a name of
            `tfnca.formats.conventions.CONVENTIONS`; None if the caller named none.
        rule: A CA with that rule, or None.
        name: The model that the caller named, or None. A reader may build all models of a file or
            only this one.
        arrays: The arrays of a file that does not say its rule, by name; filled during reading.
    """

    where: str
    member: str
    files: Mapping[str, bytes]
    budget: Budget
    convention: str | None = None
    rule: CellularAutomaton | None = None
    name: str | None = None
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def check_rule(self) -> None:
        """Raises ValueError if the caller named another rule, and the file says its own."""
        if not self.is_article and not self.arrays:
            raise ValueError(
                f"{self.where} says by which rule it was trained: leave out convention and rule. "
                f"Received: convention={self.convention!r}, rule={self.rule!r}"
            )

    @property
    def is_article(self) -> bool:
        """Whether the rule may be the article's."""
        return self.rule is None and self.convention in (None, *ARTICLES)

    @property
    def row_order(self) -> str:
        """The order of the rows of a Growing CA's first kernel; see `build_ca`."""
        return ROW_ORDERS.get(self.convention or "", "channel")

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.files[self.member]

    @property
    def text(self) -> str:
        """The file's text."""
        return decode(self.where, self.data)

    @property
    def json(self) -> Any:
        """The value of the file's JSON."""
        return parse_json(self.where, self.text)

    def beside(self, name: str) -> bytes:
        """The bytes of another file in the same folder or below.

        Args:
            name: The other file's path, relative to this file's folder.

        Raises:
            ValueError: If there is no such file, or it is outside the folder.
        """
        folder = PurePosixPath(self.member).parent
        inside = isinstance(name, str) and is_inside(name)
        if inside and isinstance(self.files, Folder):  # a link may also lead outside
            root = self.files.path.resolve()
            inside = (root / name).resolve().is_relative_to(root)
        if not inside:
            raise ValueError(
                f"{self.where} must name files below its own folder. Received: {name!r}"
            )
        try:
            return self.files[str(folder / name)]
        except KeyError:
            raise ValueError(
                f"{self.where} needs the file {name!r} next to it. Received: it is missing"
            ) from None


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader of one format.

    Attributes:
        read: Returns the models in a `Source`, or none if the file has this format but is not a
            model. Raises a ValueError that names its `where` if something is wrong.
        recognises: Whether a file has the format, by its name and its bytes.
        priority: Readers of higher priority are tried first, and among equal models theirs come
            first.
        main_file: For formats of several files, returns the file to read for a path that refers to
            all of them, or None.
    """

    read: Callable[[Source], Models]
    recognises: Callable[[str, bytes], bool]
    priority: int = 0
    main_file: Callable[[Path], Path | None] | None = None


READERS: list[Reader] = []
"""Every reader."""


def reader(
    recognises: Callable[[str, bytes], bool],
    priority: int = 0,
    main_file: Callable[[Path], Path | None] | None = None,
) -> Callable[[Callable[[Source], Models]], Callable[[Source], Models]]:
    """Registers the function below as a `Reader` of these attributes."""

    def register(read: Callable[[Source], Models]) -> Callable[[Source], Models]:
        READERS.append(Reader(read, recognises, priority, main_file))
        READERS.sort(key=lambda reader: (-reader.priority, reader.read.__module__))
        return read

    return register
