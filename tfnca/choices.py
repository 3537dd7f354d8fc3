"""Valid values of options, which commands need before they load TensorFlow."""

REGIONS = ("target", "host")
"""Placement regions of a lizard's adversaries: the opaque cells of one of these."""

DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.6)
"""Adversary fractions of a sweep, from one cell in 200 to the majority."""

LOSSES = ("l2", "cross_entropy")
"""Losses of a cell's classification."""

MOST_STEPS = 8191
"""Most CA steps of a training step."""

OPTIMIZERS = ("adam", "whitened")
"""Optimisers of the training commands."""

QUANTIZE = ("float16", "uint8")
"""Storage types of kernels for TensorFlow.js."""

TARGET_DIGIT = 8
"""The class that the article's adversary aims for."""

TOLERANCE = 5.0
"""Tolerance of the benchmark's deviation test (`tfnca.Verified`), in standard deviations."""
