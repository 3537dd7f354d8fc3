"""Cells of a sweep: in order, written as they come, gone on with, on a cluster's workers too."""

import functools
import json
import os

import joblib
import numpy as np
import pytest

import tfnca
from tfnca.measures.cells import run_cells
from tfnca.measures.sweep import sweep_digits

CELLS = [{"number": n} for n in range(6)]


def square(number):
    return {"square": number**2, "process": os.getpid()}


def squares(found):
    return [one["square"] for one in found]


def stumble(log, number):
    """Fails at 3 as long as `log` is short; notes what it was called with."""
    with open(log, "a+") as file:
        file.write(f"{number}\n")
        file.seek(0)
        calls = len(file.read().split())
    if number == 3 and calls <= 4:
        raise RuntimeError("killed")
    return number


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_cells(jobs):
    assert squares(run_cells(square, CELLS, jobs=jobs)) == [0, 1, 4, 9, 16, 25]


def test_a_killed_sweep_goes_on(tmp_path):
    log, work = tmp_path / "log", functools.partial(stumble, str(tmp_path / "log"))
    with pytest.raises(RuntimeError, match="killed"):
        run_cells(work, CELLS, folder=tmp_path / "cells")
    assert log.read_text().split() == ["0", "1", "2", "3"]
    assert run_cells(work, CELLS, folder=tmp_path / "cells") == [0, 1, 2, 3, 4, 5]
    assert log.read_text().split()[4:] == ["3", "4", "5"]
    run_cells(work, CELLS, folder=tmp_path / "cells")
    assert len(log.read_text().split()) == 7


def test_other_things_are_other_cells(tmp_path):
    host = tfnca.MNISTCA(hidden=4)
    for about in ((), (1,), (np.zeros(2),), (np.ones(2),), (host,), (tfnca.MNISTCA(hidden=4),)):
        run_cells(square, CELLS[:1], about, tmp_path)
    assert len(list(tmp_path.iterdir())) == 6
    run_cells(square, CELLS[:1], (host,), tmp_path)
    again = tfnca.MNISTCA(hidden=4)
    again.set_weights(host.get_weights())
    run_cells(square, CELLS[:1], (again,), tmp_path)
    assert len(list(tmp_path.iterdir())) == 6
    run_cells(square, CELLS[:1], (tfnca.Injected(host, again),), tmp_path)
    assert len(list(tmp_path.iterdir())) == 7


def test_whatever_changes_the_numbers_makes_another_cell(tmp_path):
    lizard, digits = tfnca.GrowingCA(hidden=4), tfnca.MNISTCA(hidden=4)

    def with_weights(model, **settings):
        model = type(model)(hidden=4, **settings)
        model.set_weights((lizard if isinstance(model, tfnca.GrowingCA) else digits).get_weights())
        return model

    other = type("Other", (tfnca.GrowingCA,), {})(hidden=4)
    other.set_weights(lizard.get_weights())
    things = [
        *(with_weights(lizard, **s) for s in ({}, {"fire_rate": 1.0}, {"angle": 0.1})),
        *(with_weights(digits, **s) for s in ({}, {"message_bound": 2.0}, {"noise_std": 0.0})),
        with_weights(lizard, step_size=0.5),
        other,
        tfnca.Injected(digits, digits),
        *(
            tfnca.Verified(digits, digits, t, mode=m)
            for t in (4.0, 5.0)
            for m in ("silence", "clip")
        ),
        tfnca.Injected(with_weights(digits, message_bound=2.0), digits),
        tfnca.Perturbed(lizard),
        tfnca.Perturbed(with_weights(lizard, angle=0.1)),
        tfnca.MatrixPerturbation(),
        tfnca.ShiftPerturbation(),
    ]
    for thing in things:
        run_cells(square, CELLS[:1], (thing,), tmp_path)
    assert len(list(tmp_path.iterdir())) == len(things)
    for thing in things:  # a copy under another name is the same
        copy = type(thing).from_config(thing.get_config() | {"name": "copy"})
        copy.set_weights(thing.get_weights())
        run_cells(square, CELLS[:1], (copy,), tmp_path)
    assert len(list(tmp_path.iterdir())) == len(things)


@pytest.mark.slow
def test_a_dask_cluster_takes_them_unchanged(tmp_path, recwarn):
    """Two worker processes on loopback."""
    distributed = pytest.importorskip("distributed")
    digits = tfnca.load_digits("test", count=4, source="sample")
    step = tfnca.load_attack("mnist_adversary")
    arguments = {"densities": (0.05, 0.2), "horizon": 4, "seeds": (0,)}
    here = sweep_digits(step, digits, **arguments)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = run_cells(square, CELLS, jobs=-1)
        there = sweep_digits(step, digits, folder=tmp_path, jobs=-1, **arguments)
    assert squares(found) == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {one["process"] for one in found}
    assert there == here
    assert len(list(tmp_path.iterdir())) == 2
    assert json.loads(next(tmp_path.iterdir()).read_text())[0]["step"] == 0
