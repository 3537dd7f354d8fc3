"""What options may be: names and numbers that a command knows before it loads TensorFlow."""

REGIONS = ("target", "host")
"""Whose opaque cells a lizard's adversaries are drawn among."""

DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.6)
"""Shares of adversaries that are swept, from one cell in 200 to the majority."""

LOSSES = ("l2", "cross_entropy")
"""Losses of a cell that classifies."""

MOST_STEPS = 8191
"""The most CA steps of a training step."""

OPTIMIZERS = ("adam", "whitened")
"""What training scripts offer."""

QUANTIZE = ("float16", "uint8")
"""What kernels may be stored in for TensorFlow.js."""

TARGET_DIGIT = 8
"""The class that the published adversary argues for."""

TOLERANCE = 5.0
"""Of `tfnca.Verified` in the benchmark, in standard deviations of the noise."""
