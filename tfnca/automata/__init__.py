"""Layers that map the state of a neural CA to its next state, written in Keras alone."""

import keras

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "tfnca runs on Keras' TensorFlow backend; set KERAS_BACKEND=tensorflow before the import. "
        f"Received: KERAS_BACKEND={keras.backend.backend()}"
    )
