"""Checks out another revision temporarily, to compare it with the present files."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def checked_out(revision: str) -> Iterator[Path]:
    """Yields a folder with the files of a revision, and removes it.

    Raises:
        subprocess.CalledProcessError: If git knows no such revision. Git prints the reason.
    """
    git = ["git", "-C", str(ROOT), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        subprocess.run([*git, "add", "--quiet", "--detach", code, revision], check=True)
        try:
            yield code
        finally:
            subprocess.run([*git, "remove", "--force", code], check=True)
