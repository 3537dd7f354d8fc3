"""Types that the package's signatures speak of."""

from pathlib import Path
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

Array: TypeAlias = np.ndarray | tf.Tensor | keras.KerasTensor
"""Numbers as NumPy, TensorFlow or a Keras graph holds them."""

PathLike: TypeAlias = str | Path
"""A file or a folder."""
