"""`tfnca play`: what it serves, and that it needs Python alone."""

import hashlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfnca import play

ROOT = Path(__file__).parents[1]
SITE = ROOT / "tfnca/site"
WEB = ROOT / "export/web"
BARE = [sys.executable, "-I", "-S"]
"""Python without any installed package."""


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def server():
    """A running `tfnca play` in a Python without packages, and its address."""
    command = [*BARE, play.__file__, "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    port = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())[1]
    yield process, int(port)
    process.kill()
    process.communicate()


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", path, skip_host=True)
    connection.putheader("Host", "localhost")
    connection.endheaders()
    response = connection.getresponse()
    answer = response.status, response.headers, response.read()
    connection.close()
    return answer


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?embed=digits", "text/html; charset=utf-8"),
        ("/tfnca.js", "text/javascript; charset=utf-8"),
        ("/site.json", "application/json"),
        ("/models/mnist.json", "application/json"),
        ("/models/mnist/model.keras", "application/octet-stream"),
        ("/models/perturbation_no_tail/perturbation.npy", "application/octet-stream"),
    ],
)
def test_it_serves_the_page_and_the_models(server, path, kind):
    status, headers, body = get(server[1], path)
    assert status == 200
    assert headers["Content-Type"] == kind
    assert headers["Cache-Control"] == "no-cache"
    assert len(body) == int(headers["Content-Length"]) > 100


def test_webassembly_has_its_own_type(server):
    wasm = next(SITE.glob("assets/*.wasm")).name
    assert get(server[1], f"/assets/{wasm}")[1]["Content-Type"] == "application/wasm"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/",
        "/assets",
        "/models/",
        "/../play.py",
        "/%2e%2e/play.py",
        "/..%2fplay.py",
        "/assets/../../play.py",
        "//etc/passwd",
        "/models/mnist/config.json",
        "/%00",
    ],
)
def test_it_serves_nothing_else(server, path):
    assert get(server[1], path)[0] == 404


def test_weights_are_those_that_python_loads(server):
    for name in json.loads((SITE / "site.json").read_text())["files"]:
        assert get(server[1], f"/models/{name}")[2] == (ROOT / "saved_models" / name).read_bytes()


def test_ctrl_c_ends_it_without_a_word():
    process = subprocess.Popen(
        [*BARE, play.__file__, "--no-browser", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A job in the background, which may be what runs the tests, does not see Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=20)
    assert (process.returncode, said.strip(), errors) == (0, "", "")


def test_a_taken_port_is_replaced_or_named(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(play, "PORT", port)
        with play.listen(None, {}) as other:
            assert other.server_port != port
        with pytest.raises(ValueError, match=f"is found. Received: --port {port}"):
            play.listen(port, {})


def test_the_browser_is_opened_at_the_address(monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(play.webbrowser, "open", opened.append)
    monkeypatch.setattr(play.Server, "serve_forever", lambda server: None)
    play.main(["--port", "0"])
    address = re.search(r"http://127\.0\.0\.1:\d+/", capsys.readouterr().out)[0]
    assert opened == [address]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "99999"], "--port must be in 0 to 65535. Received: 99999"),
        (["--port", "x"], "argument --port: invalid int value: 'x'"),
        (["--prot", "1"], "unrecognized arguments: --prot 1"),
    ],
)
def test_wrong_arguments_are_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        play.main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_missing_build_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(play, "SITE", tmp_path)
    with pytest.raises(SystemExit):
        play.main(["--no-browser"])
    assert "Run `make site`. Received: no " in capsys.readouterr().err


def test_a_copy_holds_every_file(tmp_path):
    play.main(["--copy-to", str(tmp_path)])
    copied = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert copied == set(play.files())
    assert {"index.html", "models/mnist/model.keras"} < copied


# ---------------------------------------------------------------------------------------------
# The built site
# ---------------------------------------------------------------------------------------------


def test_the_site_was_built_from_these_sources():
    """Without Node: checksums. tests/export/test_web.py builds it anew and compares."""
    built = json.loads((SITE / "built.json").read_text())
    folders = {"models/": ROOT / "saved_models"}
    for name, digest in built["built_from"].items():
        folder = next((folders[prefix] for prefix in folders if name.startswith(prefix)), None)
        path = folder / name.partition("/")[2] if folder else ROOT / name
        assert path.is_file(), f"{name} is gone: run `make site`"
        assert sha256(path) == digest, f"{name} has changed: run `make site`"
    sources = {f"export/web/src/{path.name}" for path in (WEB / "src").iterdir()}
    assert sources <= set(built["built_from"]), "there are new sources: run `make site`"


def test_the_site_is_as_it_was_built():
    built = json.loads((SITE / "built.json").read_text())["files"]
    found = {p.relative_to(SITE).as_posix(): sha256(p) for p in SITE.rglob("*") if p.is_file()}
    del found["built.json"]
    assert found == built, "files of tfnca/site were changed by hand: run `make site`"


def test_the_graphs_hold_no_weights_of_their_own():
    """Each weight is in a model.keras; only constants, such as filters, are in the graph."""
    for path in SITE.glob("models/*.json"):
        for weight in json.loads(path.read_text())["weights"]:
            size = int(np.prod(weight["shape"])) * 4
            assert "file" in weight or size < 2000, f"{path.name}: {weight['name']}"


def test_the_graphs_name_the_bytes_of_the_exports():
    for path in SITE.glob("models/*.json"):
        tfjs = ROOT / "saved_models" / path.stem / "tfjs"
        groups = json.loads((tfjs / "model.json").read_text())["weightsManifest"]
        data = b"".join((tfjs / file).read_bytes() for group in groups for file in group["paths"])
        exported = {}
        for weight in (weight for group in groups for weight in group["weights"]):
            end = 4 * int(np.prod(weight["shape"]))
            exported[weight["name"]], data = data[:end], data[end:]
        for weight in json.loads(path.read_text())["weights"]:
            if "file" not in weight:
                continue
            with (ROOT / "saved_models" / weight["file"]).open("rb") as file:
                file.seek(weight["offset"])
                wanted = exported[weight["name"]]
                assert file.read(len(wanted)) == wanted


def test_the_example_of_the_readme_is_the_one_that_ships():
    assert f"```html\n{(SITE / 'example.html').read_text()}```" in (WEB / "README.md").read_text()


def test_the_site_is_small():
    assert sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file()) < 2.8e6


def test_the_site_carries_the_notices_of_what_it_bundles():
    notice = (SITE / "NOTICE.txt").read_text()
    assert "MNIST" in notice
    assert "MIT License" in notice


def test_the_page_names_no_other_server_and_has_a_preview():
    html = (SITE / "index.html").read_text()
    assert 'src="http' not in html
    assert '<link rel="stylesheet" crossorigin href="./' in html
    for name in ("og:title", "og:description", "og:image", "twitter:card"):
        assert f'"{name}"' in html
    with Image.open(SITE / "preview.png") as preview:
        assert preview.size == (1200, 630)


# ---------------------------------------------------------------------------------------------
# Colours
# ---------------------------------------------------------------------------------------------

SIGHT = {  # Machado, Oliveira and Fernandes, 2009, severity 1, on linear RGB
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colours):
    return np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    scaled = np.clip(rgb, 0, 1) @ XYZ.T / XYZ.sum(axis=1)
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def palette(name):
    source = (WEB / "src/palette.js").read_text()
    hexes = re.search(rf'{name}: {{.*?rgb\("([0-9a-f ]+)"\)', source, flags=re.S)[1].split()
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in hexes])


def test_the_colour_blind_palette_stands_out_from_white():
    luminance = linear(palette("distinct")) @ XYZ[1]
    assert (1.05 / (luminance + 0.05)).min() >= 3


@pytest.mark.parametrize("sight", SIGHT)
def test_the_colour_blind_palette_keeps_classes_apart(sight):
    colours = np.concatenate([palette("distinct"), [[0, 0, 0], [1, 0, 0]]])  # undecided, adversary
    seen = lab(linear(colours) @ np.transpose(SIGHT[sight]))
    apart = np.linalg.norm(seen[:, None] - seen, axis=-1) + 1e3 * np.eye(len(seen))
    assert apart.min() >= 24
