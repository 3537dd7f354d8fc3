"""The article's published files: by path, outside the project, read-only."""

import os
from pathlib import Path

import pytest


def originals():
    """The folder of published files; skips the test where it is absent.

    ``TFNCA_ORIGINALS`` names another folder; ``TFNCA_REQUIRE_ORIGINALS=1`` makes a missing one
    a failure.
    """
    default = Path(__file__).parents[2] / "shared" / "originals"
    folder = Path(os.environ.get("TFNCA_ORIGINALS", default))
    if not folder.is_dir():
        message = f"published files absent: {folder} (set TFNCA_ORIGINALS)"
        if os.environ.get("TFNCA_REQUIRE_ORIGINALS") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return folder
