"""Readers of file formats, one per file.

Add a file to this folder, and `tfnca.load` knows its format.
"""

import importlib
import pkgutil

from tfnca.formats.readers.base import READERS, Model, Models, Reader, Source, reader

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["READERS", "Model", "Models", "Reader", "Source", "reader"]
