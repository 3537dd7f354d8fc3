"""Readers of file formats, one a file.

A file that is added to this folder is a format that `tfnca.load` knows.
"""

import importlib
import pkgutil

from tfnca.formats.readers.base import READERS, Model, Models, Reader, Source, reader

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["READERS", "Model", "Models", "Reader", "Source", "reader"]
