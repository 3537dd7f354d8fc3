"""Opens the playgrounds in your browser. The server runs on this machine and needs only Python.

The server loads neither TensorFlow nor NumPy, so it starts at once. The pages and their code are in
``tfnca/site``, built from ``export/web``. The weights are the files that `tfnca.load` reads.
"""

import argparse
import contextlib
import http.server
import json
import os
import shutil
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).resolve().parent / "site"
MODELS = [SITE.parent / "saved_models", SITE.parents[1] / "saved_models"]
"""The folder of the models: in an installed package, or in a clone of the repository."""
PORT = 8000
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    "": "application/octet-stream",
}
"""Content types by suffix. Given here, because the Windows registry may be wrong about .js."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"error: {message}", file=sys.stderr)
        raise SystemExit(2)


def main(words: Sequence[str] | None = None) -> None:
    """Serves the playgrounds until Ctrl-C, or copies them to a folder.

    Args:
        words: The command line without the command's name; that of this process by default.
    """
    parser = Parser(prog="tfnca play", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--port", type=int, help=f"port to serve on (default: {PORT}, or a free one if it is taken)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument(
        "--copy-to",
        type=Path,
        metavar="FOLDER",
        help="do not serve, but copy the playgrounds to FOLDER, for any web server",
    )
    options = parser.parse_args(words)
    if options.port is not None and not 0 <= options.port < 2**16:
        parser.error(f"--port must be in 0 to 65535. Received: {options.port}")
    try:
        if options.copy_to:
            copy(options.copy_to)
            print(f"Wrote {options.copy_to}")
        else:
            serve(options.port, browser=not options.no_browser)
    except (OSError, ValueError) as error:
        parser.error(str(error))


def files() -> dict[str, Path]:
    """All files of the site by their address, for example ``index.html``.

    Raises:
        ValueError: If the site has not been built.
    """
    if not (SITE / "site.json").is_file():
        raise ValueError(
            f"The playgrounds have not been built. Run `make site`. Received: no {SITE}"
        )
    found = {path.relative_to(SITE).as_posix(): path for path in SITE.rglob("*") if path.is_file()}
    models = next((folder for folder in MODELS if folder.is_dir()), MODELS[0])
    named = json.loads((SITE / "site.json").read_text(encoding="utf-8"))["files"]
    return found | {f"models/{name}": models / name for name in named}


def copy(folder: Path) -> None:
    """Copies the site to a folder that any web server can serve."""
    for name, path in files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)


def serve(port: int | None, browser: bool) -> None:
    """Serves the site at 127.0.0.1 until Ctrl-C.

    Args:
        port: The port; if None, 8000 or else any free port.
        browser: Whether to open the page in the browser.
    """
    with contextlib.suppress(KeyboardInterrupt), listen(port, files()) as server:
        address = f"http://127.0.0.1:{server.server_port}/"
        print(f"The playgrounds are at {address} (stop with Ctrl-C)", flush=True)
        if browser:  # in a thread, because a text browser would block until it is closed
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()
        server.serve_forever()
    print()


def listen(port: int | None, served: dict[str, Path]) -> "Server":
    if port is not None:
        try:
            return Server(port, served)
        except OSError as error:
            raise ValueError(
                f"This port cannot be used: {error.strerror}. Without --port, a free one is found. "
                f"Received: --port {port}"
            ) from None
    try:
        return Server(PORT, served)
    except OSError:
        return Server(0, served)


class Server(http.server.ThreadingHTTPServer):
    """Serves the given files, and nothing else, to this machine alone."""

    allow_reuse_address = os.name == "posix"  # on Windows, two servers would share a port

    def __init__(self, port: int, served: dict[str, Path]) -> None:
        self.served = served
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores browsers that disconnect before they have their answer."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    extensions_map = TYPES

    def translate_path(self, path: str) -> str:
        """The file at an address; a path that does not exist if nothing is served there."""
        name = unquote(urlsplit(path).path).removeprefix("/")
        return str(self.server.served.get(name or "index.html", SITE / "nothing"))

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # so that an upgrade takes effect
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Keeps the terminal quiet."""


if __name__ == "__main__":
    main()
