"""Rules with which other projects' files were trained, by name.

Projects with the same layer sizes differ in their filters, in the order of a kernel's rows, in
padding, and in which cells are alive, and the shapes in a file do not tell. With the wrong rule, a
model runs but gives wrong results.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from tfnca.automata.alive import Alpha, Stroke
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.presets import PRESETS
from tfnca.automata.step import CellularAutomaton
from tfnca.formats.layout import Layer, Layout

CHANNEL, FILTER = "channel", "filter"
"""Orders of the first dense kernel's rows, for K filters of C channels: filter k of channel c in
row K·c + k, or in row C·k + c."""

_SOBEL = ("identity", "sobel_x", "sobel_y")
_FOUR = (*_SOBEL, "laplacian")


class Convention(NamedTuple):
    """A rule without its sizes, and the layout of its files.

    Attributes:
        about: The projects that use it, and its special features.
        settings: Arguments of `NeuralCA` except `channels`, `hidden` and biases.
        rows: `CHANNEL` or `FILTER`.
        kind: The class of the CA.
        learned: The kind of a learned perception: ``"full"``, ``"depthwise"``, or None.
    """

    about: str
    settings: Mapping[str, Any]
    rows: str = CHANNEL
    kind: type[CellularAutomaton] = NeuralCA
    learned: str | None = None


_ALIVE = {"filters": _SOBEL, "alive": Alpha()}

CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {
        "growing": Convention(
            "the article's Growing CA: Sobel filters, zero padding, alive by alpha, rows channel "
            "by channel",
            _ALIVE,
            kind=PRESETS["growing"],
        ),
        "filter-major": Convention(
            "ports that concatenate the state and its two gradients: rows filter by filter",
            _ALIVE,
            rows=FILTER,
            kind=PRESETS["growing"],
        ),
        "transposed": Convention(
            "ports that exchange x and y: the picture comes out transposed",
            {**_ALIVE, "filters": ("identity", "sobel_y", "sobel_x")},
        ),
        "transposed-filter-major": Convention(
            "the same, rows filter by filter",
            {**_ALIVE, "filters": ("identity", "sobel_y", "sobel_x")},
            rows=FILTER,
        ),
        "takeover": Convention(
            "Cavuoti et al. 2022: a Growing CA on a torus (circular padding); its seed has alpha "
            "1 and all else 0",
            {**_ALIVE, "padding": "circular"},
        ),
        "texture": Convention(
            "Self-Organising Textures (Distill, 2021): four filters, circular, everything clipped "
            "at 2, rows filter by filter",
            {"filters": _FOUR, "padding": "circular", "state_clip": 2.0, "network_clip": 2.0},
            rows=FILTER,
        ),
        "unscaled-texture": Convention(
            "textures with Sobel and Laplacian filters of whole numbers, not clipped, rows "
            "channel by channel",
            {
                "filters": (
                    "identity",
                    "sobel_x_unscaled",
                    "sobel_y_unscaled",
                    "laplacian_unscaled",
                ),
                "padding": "circular",
            },
        ),
        "med-nca": Convention(
            "Med-NCA (Kalkhof et al., 2023): learned convolutions together with the state itself, "
            "reflect padding, channel 0 contains the image and never changes",
            {"filters": ("identity",), "padding": "reflect", "fixed": 1},
            kind=NeuralCA,
            learned="full",
        ),
        "goal": Convention(
            "GoalNCA (Sudhakaran et al., 2022): a learned depthwise perception of the state with "
            "a goal added to its last channels; the goal is given to each step as `inputs`",
            {"filters": (), "alive": Alpha(), "state_clip": 10.0},
            learned="depthwise",
        ),
        "digits": Convention(
            "the article's self-classifying MNIST CA: a learned convolution with ReLU, alive by "
            "grey, which never changes",
            {"filters": (), "alive": Stroke(), "fixed": 1},
            kind=PRESETS["digits"],
            learned="full",
        ),
    }
)
"""The values of `convention` in `tfnca.load`."""

ROW_ORDERS: Mapping[str, str] = {"growing": "channel", "filter-major": "kernel"}
"""The article's Growing CA by convention: the order of its first kernel's rows."""

ARTICLES = (*ROW_ORDERS, "digits")
"""Conventions of the article's own two models."""

GOAL_CHANNELS = 32
"""Number of channels of a GoalNCA's goal."""


class DoesNotFitError(ValueError):
    """A file's layers do not match a convention."""


def make(convention: Convention, layout: Layout) -> CellularAutomaton:
    """Builds the CA of a file's layers with a convention.

    Raises:
        DoesNotFitError: If the layers do not match the convention.
    """
    settings, arrays, has_bias = _weights(convention, layout)
    hidden = settings.pop("hidden")
    if convention.kind is not NeuralCA:
        _expect(len(hidden) == 1, f"{len(hidden)} hidden layers")
    try:
        if convention.kind is NeuralCA:
            ca = NeuralCA(hidden=hidden, last_bias=has_bias, **settings)
        else:
            ca = convention.kind(channels=settings["channels"], hidden=hidden[0])
    except ValueError as error:  # sizes that this kind of CA cannot have
        raise DoesNotFitError(str(error)) from error
    return _filled(ca, arrays, has_bias)


def make_by_rule(rule: CellularAutomaton, layout: Layout) -> CellularAutomaton:
    """Copies a rule with the weights of a file's layers, with rows channel by channel.

    Raises:
        DoesNotFitError: If the layers do not match the rule.
    """
    settings = rule.rule.config()
    learned = settings["learned"]
    kind = learned and ("full" if learned["filters"] else "depthwise")
    given = Convention("", {**settings, "alive": rule.rule.alive}, CHANNEL, type(rule), kind)
    _, arrays, has_bias = _weights(given, layout)
    return _filled(type(rule).from_config(rule.get_config()), arrays, has_bias)


def _weights(
    convention: Convention, layout: Layout
) -> tuple[dict[str, Any], list[np.ndarray], bool]:
    """A convention's settings with the sizes of a layout, its weights in order, and whether the
    last of these is a bias."""
    learned, dense = layout.learned, layout.dense
    settings = dict(convention.settings)
    fixed, filters = settings.get("fixed", 0), len(settings["filters"])
    last = dense[-1].kernel.shape[1]
    found = ("depthwise" if layout.depthwise else "full") if learned else None
    _expect(convention.learned == found, f"its learned perception is {found}")
    seen = learned[0].kernel.shape[2] if learned else dense[0].kernel.shape[0] // filters
    channels = seen - settings.get("inputs", 0)
    _expect(channels in (last, last + fixed), f"{last} channels come out of {channels}")
    alive = settings.get("alive")
    _expect(alive is None or alive.channel < channels, "it lacks the channel that decides life")
    kernels, biases = [layer.kernel for layer in dense], [layer.bias for layer in dense]
    _expect(all(bias is not None for bias in biases[:-1]), "a hidden layer has no bias")
    if last > channels - fixed:  # a fixed channel's update is never used
        kernels[-1] = kernels[-1][:, fixed:]
        biases[-1] = None if dense[-1].bias is None else dense[-1].bias[fixed:]
    if convention.rows == FILTER:
        kernels[0] = _channel_major(kernels[0], filters, seen)
    perception: list[np.ndarray] = []
    if learned:
        perception, settings["learned"] = _perception(learned, layout.depthwise)
        if convention is CONVENTIONS["goal"]:
            perception, kernels[0] = _see_the_goal(perception, kernels[0], channels)
            settings["inputs"] = GOAL_CHANNELS
    settings |= {"channels": channels, "hidden": [kernel.shape[1] for kernel in kernels[:-1]]}
    pairs = zip(kernels, biases, strict=True)
    arrays = perception + [array for pair in pairs for array in pair if array is not None]
    return settings, arrays, biases[-1] is not None


def _filled(ca: CellularAutomaton, arrays: list[np.ndarray], has_bias: bool) -> CellularAutomaton:
    """The CA with these weights; a missing last bias is replaced by zeros."""
    shapes = [tuple(variable.shape) for variable in ca.weights]
    if len(shapes) == len(arrays) + 1 and not has_bias:
        arrays = [*arrays, np.zeros(shapes[-1], np.float32)]
    _expect(
        shapes == [array.shape for array in arrays],
        f"its weights are {[array.shape for array in arrays]}, the rule's {shapes}",
    )
    ca.set_weights(arrays)
    return ca


def _expect(fits: Any, what: str) -> None:
    if not fits:
        raise DoesNotFitError(what)


def _channel_major(kernel: np.ndarray, filters: int, channels: int) -> np.ndarray:
    _expect(kernel.shape[0] == filters * channels, f"{kernel.shape[0]} rows")
    return kernel.reshape(filters, channels, -1).swapaxes(0, 1).reshape(kernel.shape)


def _perception(learned: list[Layer], depthwise: bool) -> tuple[list[np.ndarray], dict[str, Any]]:
    """The weights of a learned perception, with several parallel convolutions joined into one."""
    sizes = {layer.kernel.shape[2] for layer in learned}
    biases = [layer.bias for layer in learned if layer.bias is not None]
    _expect(len(sizes) == 1 and len(biases) in (0, len(learned)), "convolutions that differ")
    _expect(not depthwise or len(learned) == 1, "several depthwise convolutions")
    kernel = np.concatenate([layer.kernel for layer in learned], -1)
    size = {"multiplier": kernel.shape[3]} if depthwise else {"filters": kernel.shape[3]}
    weights = [kernel, np.concatenate(biases)] if biases else [kernel]
    return weights, {**size, "bias": bool(biases)}


def _see_the_goal(
    perception: list[np.ndarray], kernel: np.ndarray, channels: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Turns a goal that is added to the last channels into inputs that are perceived separately.

    Perception and the first layer are linear up to its activation, so the inputs take the filters
    and rows of the channels that the goal was added to.
    """
    filters = perception[0]
    multiplier = filters.shape[3]
    _expect(channels > GOAL_CHANNELS and len(perception) == 1, "no room for a goal")
    _expect(kernel.shape[0] == channels * multiplier, f"{kernel.shape[0]} rows")
    seen = np.concatenate([filters, filters[:, :, -GOAL_CHANNELS:]], 2)
    return [seen], np.concatenate([kernel, kernel[-GOAL_CHANNELS * multiplier :]])
