"""What the tool asks of a network, and the faster ways that an architecture may offer beside its definition.

A network is a :class:`torch.nn.Module` in the layers that :mod:`.layers` can trace. Its ``forward(fine, coarse)``
takes standardised inputs, (sample, fine channel, row, column) and (sample, coarse channel, cell row, cell
column) or None, and returns the logits of all heads, (sample, output, row, column), at the pixels of `fine`.
Everything the tool computes follows from this definition. An :class:`Architecture` may compute some of it
faster (:class:`FastPaths`); a conformance test holds each of these equal to the definition.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .card import ModelCard

# Whether the top, bottom, left and right of an array are edges of the scene. What a network makes of pixels
# within its receptive field of a side that is none is not used, so it need not get them right.
Edges = tuple[bool, bool, bool, bool]
Slices = tuple[slice, slice]

# record(layer, amount): the relevance that went to the bias of a layer, a float64 scalar. LRP-ε puts the name
# of the kind of leak (bias, stabiliser) before the layer.
Record = Callable[..., None]
# backward(gradient of the logits, record): that of the fine and of the coarse inputs; to be called before the
# next forward pass.
Backward = Callable[..., "tuple[torch.Tensor, torch.Tensor | None]"]


class ForwardPass(Protocol):
    """A forward pass that keeps what its backward pass needs."""

    def __call__(
        self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ...
    ) -> tuple[torch.Tensor, Backward]:
        """Return the logits and the backward pass."""


class FeaturePass(Protocol):
    """A forward pass that keeps what one layer inside puts out, and its backward pass to that layer."""

    @property
    def layers(self) -> Collection[str]:
        """The layers, by the names of the definition."""

    def __call__(
        self, layer: str, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ...
    ) -> tuple[torch.Tensor, torch.Tensor, Callable[[torch.Tensor], torch.Tensor]]:
        """Return the logits, the layer's output, and what makes its gradient of that of the logits.

        All may change with the next forward pass.
        """


class SecantPass(Protocol):
    """Backward passes over the steps of a path, with the secant of every ReLU as its slope."""

    def cells(self, seeds: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor | None:
        """Return the gradient of the coarse inputs, the same along every path; None without such inputs."""

    def steps(
        self, points: Iterable[torch.Tensor], seeds: torch.Tensor, edges: Edges = ...
    ) -> Iterator[torch.Tensor]:
        """Yield the gradient of the fine inputs over each step between two points of the path."""


class GatedPass(Protocol):
    """A forward pass in parts by groups of channels, with the gates of the activations frozen."""

    def __call__(
        self,
        distance: tuple[torch.Tensor, torch.Tensor | None],
        origin: tuple[torch.Tensor, torch.Tensor | None],
        groups: Sequence[Sequence[int]],
        edges: Edges = ...,
        outputs: Sequence[int] | None = None,
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield the number of a group (−1: the baseline and the biases) and what it adds to the logits."""


class Forward(Protocol):
    """The logits."""

    def __call__(self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = ...) -> torch.Tensor:
        """Return the logits (sample, output, row, column)."""


@dataclass(frozen=True)
class GradientCrop:
    """A tile inside a scene of which the gradients are right, for given gradients of its logits, but for its margin.

    Logits near the sides of the tile are wrong; what they add to the gradients is right all the same, since the network
    is linear behind the last gate.

    Parameters
    ----------
    margin : int
        Pixels along the sides of the tile at which gradients are wrong.
    least_side : int
        Of the tile, in pixels; it touches no edge of the scene.
    """

    margin: int
    least_side: int


@dataclass(frozen=True)
class FastPaths:
    """What an architecture computes faster than by its definition, for one network in one type of numbers.

    Only `forward` must be there. What is None is computed from the definition, by autograd or layer by layer.

    Parameters
    ----------
    forward : Forward
        The logits, in the type of the inputs or float32; it casts its inputs by itself.
    components : callable, optional
        ``components(fine, coarse)``: the inputs of the output convolution, (sample, component, row, column).
    component_bands : callable, optional
        ``component_bands(fine, coarse, edges)`` yields slices of rows, from top to bottom, and the components of these
        rows.
    inner : callable, optional
        ``inner(fine, coarse, edges)``: outputs of `inner_layers`, by these names.
    inner_layers : tuple of str
        Layers inside, by the names of the definition.
    features : FeaturePass, optional
        For class activation maps of a layer inside.
    gradient : ForwardPass, optional
        The backward pass is the vector-Jacobian product.
    secants : SecantPass, optional
        For integrated gradients.
    lrp_epsilon : callable, optional
        ``lrp_epsilon(epsilon)`` returns a ForwardPass whose backward pass is LRP-ε.
    gated : GatedPass, optional
        For contributions with frozen gates.
    band_rows : int
        How many rows it computes at a time; 0 where it takes all at once.
    bands_at_once : callable
        ``bands_at_once(rows)``: how many bands of a window of so many rows it computes at the same time.
    gradient_crop : GradientCrop, optional
        When the gradient at a pixel does not depend on what lies farther away than gates look. None: never.
    known_seeds : callable, optional
        ``known_seeds(explained, edges, within, inside)`` returns a ForwardPass for the gradients of the rows and
        columns `inside` of a tile, where all logits (row, column) that are `explained` have the seeds of the tile's;
        `within`: where `inside` lies among them, `edges`: which of their sides are edges of the scene. Instead of
        logits it returns zeros.
    known_seeds_margin : int
        Pixels along the sides of `inside` at which its gradients are wrong.
    release : callable
        Gives back the memory that it keeps from one pass to the next.
    """

    forward: Forward
    components: Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor] | None = None
    component_bands: Callable[..., Iterator[tuple[slice, torch.Tensor]]] | None = None
    inner: Callable[..., Mapping[str, torch.Tensor]] | None = None
    inner_layers: tuple[str, ...] = ()
    features: FeaturePass | None = None
    gradient: ForwardPass | None = None
    secants: SecantPass | None = None
    lrp_epsilon: Callable[[float], ForwardPass] | None = None
    gated: GatedPass | None = None
    band_rows: int = 0
    bands_at_once: Callable[[int], int] = lambda _rows: 1
    gradient_crop: GradientCrop | None = None
    known_seeds: Callable[[torch.Tensor, Edges, Slices, Slices], ForwardPass] | None = None
    known_seeds_margin: int = 0
    release: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Architecture:
    """How the networks of a card are built, and made fast.

    Parameters
    ----------
    arguments : tuple of str
        What a card may give in ``architecture.arguments``.
    build : callable
        ``build(card, arguments)`` returns the definition with new weights. It raises a ModelError, which names
        the card, for arguments that it cannot take.
    fast : callable, optional
        ``fast(module, dtype)`` returns the fast paths of a network that `build` made, as a copy in float64,
        float32 or bfloat16 which shares nothing with it; None for any other module.
    feeding_axis : int, optional
        Of a network that reads a scene step by step, as recurrent ones do, the axis along which it goes: 0 row by
        row, 1 column by column. None where it reads the scene without a direction.
    examples : tuple of mapping
        Arguments of small networks, which the conformance test builds: one for each set of fast paths.
    """

    arguments: tuple[str, ...]
    build: Callable[[ModelCard, Mapping[str, Any]], nn.Module]
    fast: Callable[[nn.Module, torch.dtype], FastPaths | None] | None = None
    feeding_axis: int | None = None
    examples: tuple[Mapping[str, Any], ...] = ({},)
