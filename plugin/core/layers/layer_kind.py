"""What a row of the table of layer kinds (:mod:`.kinds`) says: by which mathematics a layer is explained.

- :class:`Weighted`: z = W a + b; where relevance rules differ;
- :class:`Activated`: y = g(z), value by value;
- :class:`Maximum`: the largest value of a window;
- :class:`Linear`: linear without weights, such as a mean, an upsampling or a padding;
- :class:`Concatenation`, :class:`Sum`: of several arrays;
- :class:`Size`: no value is read but rows and columns, by which other layers may be set;
- :class:`Unknown`: none but its slope, if it has one; the row says why, and this is what the user reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, Union

import torch
from torch import nn

from . import linear
from .activations import Activation
from .affine import Affine
from .linear import LayerPass
from .reach import Reach


class Preparation(Protocol):
    """A class of affine layers, before a layer of the network is given to it."""

    diagonal: bool

    def __call__(self, layer: Any, dtype: torch.dtype, /) -> Affine:
        """Return the layer with its weights in a type of numbers."""


@dataclass(frozen=True)
class Weighted:
    """z = W a + b.

    Parameters
    ----------
    prepare : class derived from Affine
        ``prepare(layer, dtype)`` returns the layer's weights and how they are applied, forwards and transposed. It
        raises a ModelError that says why for settings of the layer that cannot be explained.
    """

    prepare: Preparation


@dataclass(frozen=True)
class Activated:
    """y = g(z), value by value.

    Parameters
    ----------
    activation : callable
        ``activation(layer)`` returns g and its slope.
    """

    activation: Callable[[nn.Module], Activation]


@dataclass(frozen=True)
class Maximum:
    """The largest value of each window (``MaxPool2d``)."""


@dataclass(frozen=True)
class Linear:
    """Linear in its first input, without weights.

    Parameters
    ----------
    backward : callable
        ``backward(layer, *inputs)`` returns the output and the backward pass: the transpose, by default found by
        torch's own differentiation.
    without_constant : callable
        ``without_constant(layer)`` returns the layer without what it adds; by default the layer adds nothing.
    """

    backward: Callable[..., LayerPass] = linear.in_proportion
    without_constant: Callable[[nn.Module], Callable[..., torch.Tensor]] = lambda layer: layer

    @property
    def changes_nothing(self) -> bool:
        """Whether the output is the input."""
        return self.backward is linear.unchanged


@dataclass(frozen=True)
class Concatenation:
    """Arrays side by side."""


@dataclass(frozen=True)
class Sum:
    """Two arrays, added."""


@dataclass(frozen=True)
class Size:
    """The size of an array."""


_BY_SLOPES = "Relevance by METHOD=gradient_x_input, integrated_gradients or smoothgrad needs no rule."


@dataclass(frozen=True)
class Unknown:
    """No mathematics that shares its output out.

    Parameters
    ----------
    why : str
        A sentence for the user.
    sloped : bool
        Whether gradients go through it, so that methods by slopes alone explain it.
    """

    why: str
    sloped: bool = True

    @property
    def sentence(self) -> str:
        """Why it cannot be explained, and what can be done."""
        return f"{self.why} {_BY_SLOPES}" if self.sloped else self.why


Mathematics = Union[Weighted, Activated, Maximum, Linear, Concatenation, Sum, Size, Unknown]
Call = Union[Callable, str]


@dataclass(frozen=True)
class LayerKind:
    """What is known of a kind of layer.

    Parameters
    ----------
    layers : tuple of type
        Torch's layers of this kind, or ours.
    mathematics : Mathematics
        How it is explained.
    calls : mapping
        Functions, and names of methods of a tensor, to what makes of their arguments behind the array a layer that
        does the same. Only of :class:`Activated`, :class:`Maximum` and
        :class:`Linear` do more than the keys count.
    reach : callable
        ``reach(layer)`` returns what a place of the output reads of the input, None where that depends on the size of
        the array.
    whole : bool
        Whether each output is an input or a mean of inputs, so that its output still shows the inputs as they are.
    sized_by_second : bool
        Whether there is a second input, of which only rows and columns are read.
    drops : bool
        Whether it drops units in training.
    """

    layers: tuple[type[nn.Module], ...]
    mathematics: Mathematics
    calls: Mapping[Call, Callable[..., nn.Module]] = field(default_factory=dict)
    reach: Callable[[nn.Module], Reach | None] = lambda layer: None
    whole: bool = False
    sized_by_second: bool = False
    drops: bool = False

    @property
    def weighs(self) -> bool:
        """Whether it weighs its inputs against each other: a possible first layer."""
        return isinstance(self.mathematics, Weighted) and not self.mathematics.prepare.diagonal

    @property
    def keeps_inputs(self) -> bool:
        """Whether its output still is an unweighted view of its inputs: shared, scaled or padded."""
        if isinstance(self.mathematics, Weighted):
            return self.mathematics.prepare.diagonal
        return isinstance(self.mathematics, (Linear, Concatenation, Sum))

    @property
    def proportional(self) -> bool:
        """Whether it is linear but for a constant, whatever the values."""
        return isinstance(self.mathematics, (Weighted, Linear, Concatenation, Sum))

    def layer_of(self, call: Call, arguments: tuple, options: Mapping[str, Any]) -> tuple[Any, nn.Module]:
        """Return the array that a call is given, and the layer that does the same."""
        options = dict(options)
        values, *others = arguments or (options.pop("input"),)
        return values, self.calls[call](*others, **options).eval()
