"""Runs of a step outside Python, beside what the package makes of the same state and draws.

A job is what `run_tfjs.mjs` (Node) and `export/web/parity.mjs` (Chromium) take.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfnca

ROOT = Path(__file__).parents[2]
WEB = ROOT / "export" / "web"
MODULES = WEB / "node_modules"


def site_tools():
    """Skips the test if Node or the site's packages are missing."""
    if not shutil.which("node"):
        pytest.skip("the site's tests need node")
    if not MODULES.is_dir():
        pytest.skip("the site's packages are missing: run `npm ci` in export/web")


def chromium():
    """Skips the test if there is no Chromium."""
    path = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(path).is_file():
        pytest.skip(f"no Chromium at {path}; CHROMIUM names another")


def run_node(*arguments):
    """What a script prints; without Node, the test is skipped."""
    if not shutil.which("node"):
        pytest.skip("the site's tests need node")
    command = ["node", *map(str, arguments)]
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        command, cwd=WEB, env=environment, capture_output=True, text=True, timeout=900
    )
    said = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, f"{command} failed:\n{said}"
    return done.stdout


def array(path, values):
    """Writes an array as float32; returns what a job says of it."""
    values = np.asarray(values, np.float32)
    values.tofile(path)
    return {"file": str(path), "shape": list(values.shape)}


def arrays(path, values):
    return {name: array(f"{path}.{name}", value) for name, value in values.items()}


def graph_job(path, model, step, state, steps, draws, k=None):
    """A job that runs an export with these draws, and the package's own final state.

    Args:
        path: Where the job's files go; a name is appended.
        model: The folder of the export.
        step: What was exported, without inputs of its own: a mixture at strengths `k`.
        state: The start.
        steps: Number of steps.
        draws: ``fire_masks``, ``noise``, ``mask`` and ``inputs``, as `tfnca.rollout` takes them.
        k: The strengths of perturbations, which their export takes.
    """
    expected = tfnca.rollout(step, state, steps, engine="dense", seed=0, **draws).numpy()
    given = {name: draws[name] for name in ("mask", "inputs") if name in draws}
    given |= {"k": k} if k is not None else {}
    drawn = {"fire_mask": draws["fire_masks"]}
    drawn |= {"noise": draws["noise"]} if "noise" in draws else {}
    job = {
        "model": str(model),
        "steps": steps,
        "input": "state",
        "state": array(f"{path}.state", state),
        "given": arrays(path, given),
        "draws": arrays(path, drawn),
        "out": f"{path}.out",
    }
    return job, expected


def write(folder, jobs):
    """Writes jobs, a dictionary by name, where a runner reads them; returns the file."""
    path = Path(folder) / "jobs.json"
    path.write_text(json.dumps(list(jobs.values())))
    return path


def final_states(jobs):
    """What a runner wrote, by name; a job that it left out is left out."""
    return {
        name: np.fromfile(job["out"], np.float32).reshape(job["state"]["shape"])
        for name, job in jobs.items()
        if Path(job["out"]).is_file()
    }
