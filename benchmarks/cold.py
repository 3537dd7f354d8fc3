"""Seconds until the first results, with an empty cache of compiled code and with a filled one.

Each line is a new process. It runs a rollout, a training step and an injection of a Growing CA on a
small grid, with the living-cells engine.
"""

import argparse
import os
import subprocess
import sys
import tempfile

RUN = """
import time
began = time.perf_counter()
import keras
import tensorflow
seconds = [time.perf_counter() - began]
began = time.perf_counter()
import numpy as np
import tfnca
seconds.append(time.perf_counter() - began)

def timed(function):
    began = time.perf_counter()
    function()
    seconds.append(time.perf_counter() - began)

def rollout():
    tfnca.rollout(tfnca.GrowingCA(), tfnca.seed_state(16), 4, engine="sparse")

def train():
    loss = tfnca.TargetLoss(np.zeros((16, 16, 4)))
    trainer = tfnca.Trainer(tfnca.GrowingCA(), loss, steps=4, engine="sparse")
    trainer.compile(keras.optimizers.Adam(1e-3))
    pool = tfnca.GrowingPool(tfnca.seed_state(16), size=8)
    trainer.fit(pool, epochs=1, steps_per_epoch=1, verbose=0)

def inject():
    step = tfnca.Injected(tfnca.GrowingCA(), tfnca.GrowingCA())
    mask = np.zeros((1, 16, 16))
    tfnca.rollout(step, tfnca.seed_state(16), 4, mask=mask, engine="sparse")

for part in (rollout, train, inject):
    timed(part)
print(*seconds)
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(
        "| cache | import Keras and TensorFlow | then tfnca | first rollout | first training step "
        "| first injection | all three |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "NUMBA_CACHE_DIR": folder}
        for cache in ("cold", "warm"):
            done = subprocess.run(
                [sys.executable, "-c", RUN],
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            seconds = [float(part) for part in done.stdout.split("\n")[-2].split()]
            row = [f"{value:.1f} s" for value in (*seconds, sum(seconds[2:]))]
            print(f"| {' | '.join([cache, *row])} |", flush=True)


if __name__ == "__main__":
    main()
