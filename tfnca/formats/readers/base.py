"""What a reader is: how a format is recognised, and how a file of it becomes models."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.formats.archive import Budget, Folder, decode, is_inside, parse_json
from tfnca.formats.build import ARTICLES, ROW_ORDERS

Model = Step | StatePerturbation
Models = dict[str, Model]
"""Models by their names; the first is what the file stands for and may be called ``""``."""


@dataclasses.dataclass(frozen=True)
class Source:
    """One file, and what it was found among.

    Attributes:
        where: What messages call it.
        member: Its name among `files`.
        files: The files of its zip or folder.
        budget: What else is unpacked counts against it.
        convention: By which rule its weights were trained, a name of
            `tfnca.formats.conventions.CONVENTIONS`; None if the caller did not say.
        rule: A CA of that rule, or None.
        arrays: What its reader found in it, by name; filled while it is read.
    """

    where: str
    member: str
    files: Mapping[str, bytes]
    budget: Budget
    convention: str | None = None
    rule: CellularAutomaton | None = None
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def is_article(self) -> bool:
        """Whether nothing says that it is of another rule than the article's."""
        return self.rule is None and self.convention in (None, *ARTICLES)

    @property
    def row_order(self) -> str:
        """How a Growing CA's first kernel orders its rows; see `tfnca.formats.build.build_ca`."""
        return ROW_ORDERS.get(self.convention or "", "channel")

    @property
    def data(self) -> bytes:
        """Its bytes."""
        return self.files[self.member]

    @property
    def text(self) -> str:
        """Its text."""
        return decode(self.where, self.data)

    @property
    def json(self) -> Any:
        """The value of its JSON."""
        return parse_json(self.where, self.text)

    def beside(self, name: str) -> bytes:
        """The bytes of a file beside this one, or below its folder.

        Args:
            name: Its path, relative to this file.

        Raises:
            ValueError: If there is no such file, or it lies elsewhere.
        """
        folder = PurePosixPath(self.member).parent
        inside = isinstance(name, str) and is_inside(name)
        if inside and isinstance(self.files, Folder):  # a link may lead out, too
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
                f"{self.where} needs the file {name!r} beside it. Received: it is missing"
            ) from None


@dataclasses.dataclass(frozen=True)
class Reader:
    """How one format is read.

    Attributes:
        read: Makes the models in a `Source`, or raises a ValueError that names its `where`; none
            if the file, though of this format, is no model's.
        recognises: Whether a file is of the format, by its name and its bytes.
        priority: Readers of a higher one are asked first whether they recognise a file, and their
            models stand first among equal ones.
        main_file: For a format of several files: the one to read where a path stands for them all,
            None if it does not.
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
