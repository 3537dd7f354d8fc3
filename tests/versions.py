"""The suite on the oldest and the newest versions that the package allows; prints a table.

    python tests/versions.py                    # the newest on each Python, the oldest on the first
    python tests/versions.py --only 3.11-oldest --tests tests/engines tests/test_conformance.py

Each combination gets an environment of its own below out/versions, made by uv; uv finds or
fetches the Pythons. "Oldest" are the lower bounds in pyproject.toml, each dependency that stands
there at the oldest version that fits. Ends with code 1 where anything failed.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
COMBINATIONS = {
    f"{PYTHONS[0]}-oldest": (PYTHONS[0], "lowest-direct"),
    **{f"{python}-newest": (python, "highest") for python in PYTHONS},
}
SHOWN = ("tensorflow", "keras", "numpy", "numba", "scipy")


def install(folder: Path, python: str, resolution: str) -> None:
    """Makes an environment with the package and what its tests need."""
    uv = [sys.executable, "-m", "uv"]
    where = ["--python", str(folder / "bin" / "python")]
    subprocess.run(
        [*uv, "venv", "--quiet", "--seed", "--clear", "--python", python, folder], check=True
    )
    subprocess.run(
        [*uv, "pip", "install", "--quiet", *where, "--resolution", resolution, "-e", ".[dev]"],
        cwd=ROOT,
        check=True,
    )


def versions(folder: Path) -> list[str]:
    """The versions of the packages that are shown, Python's first."""
    code = (
        "import platform, sys; from importlib.metadata import version; "
        "print(platform.python_version(), *(version(name) for name in sys.argv[1:]))"
    )
    command = [folder / "bin" / "python", "-c", code, *SHOWN]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def suite(folder: Path, tests: list[str], workers: str) -> tuple[str, bool]:
    """Runs tests; returns pytest's last line in short, and whether all passed."""
    command = [
        folder / "bin" / "python",
        "-m",
        "pytest",
        "-q",
        "-n",
        workers,
        "--dist",
        "loadfile",
        "--no-loadscope-reorder",
    ]
    done = subprocess.run(
        [*command, *tests],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    (folder / "suite.log").write_text(done.stdout)
    counts = re.findall(r"\d+ (?:passed|failed|skipped|error)s?", done.stdout.rsplit("\n=", 1)[-1])
    return ", ".join(counts) or f"ended with code {done.returncode}", done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=COMBINATIONS, default=[*COMBINATIONS])
    parser.add_argument("--tests", nargs="+", default=["tests"], help="(default: all)")
    parser.add_argument("--workers", default="2", help="of pytest (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "versions")
    options = parser.parse_args()
    good = True
    print("| combination | Python | " + " | ".join(SHOWN) + " | tests | minutes |")
    print("|---" * (len(SHOWN) + 4) + "|", flush=True)
    for name in options.only:
        folder, began = options.out / name, time.monotonic()
        try:
            install(folder, *COMBINATIONS[name])
            found, passed = versions(folder), True
            began = time.monotonic()
            result, passed = suite(folder, options.tests, options.workers)
        except subprocess.CalledProcessError as error:
            found, result, passed = ["?"] * (len(SHOWN) + 1), f"not installed: {error}", False
        minutes = (time.monotonic() - began) / 60
        print(f"| {name} | {' | '.join(found)} | {result} | {minutes:.0f} |", flush=True)
        good &= passed
    sys.exit(not good)


if __name__ == "__main__":
    main()
