"""A network made ready to run: a device, a precision, standardised inputs.

The user's module is never touched: a :class:`Runner` works on a copy of its own, in evaluation mode.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ...ground.errors import ModelError, NumericalError, ParameterError
from ...ground.protocols import Patch
from ...ground.vocabulary.words import DEVICES, check_word
from ...ground.window import Window
from ...networks.architectures import fast_paths
from ...networks.contract import Edges, FastPaths
from ...networks.inner_layers import OutputConvolution, activation, layer_names, output_convolution
from ...networks.kernels.convolutions import computes_bfloat16
from ...networks.kernels.threads import worker_count

if TYPE_CHECKING:
    from ...networks.card import ImageWindow, ModelCard

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}
# Rows that are standardised at a time: few enough for the processor's cache.
STANDARDISED_ROWS = 64
# What CUDA's libraries say when they get no memory; torch's own allocator has an error of its own.
REFUSED = (
    "CUDA out of memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


@contextmanager
def host_tensors() -> Iterator[None]:
    """Make tensors on the host by default, whatever default device another program set for this thread."""
    if torch.empty(0).device.type == "cpu":
        yield
        return
    with torch.device("cpu"):
        yield


def resolve_device(device: str) -> torch.device:
    """Return the device a word means: ``auto`` is a CUDA device where there is one.

    Raises
    ------
    ParameterError
        If the word is unknown, or a CUDA device is asked for where there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ParameterError("DEVICE=cuda, but torch finds no CUDA device. Set DEVICE=cpu or DEVICE=auto.")
    check_word("DEVICE", device, DEVICES)
    return torch.device(device)


def usable_precision(precision: str, device: torch.device) -> str:
    """Return the precision that a device computes in when it is asked for `precision`.

    float32 for bfloat16 where the processor is not known to have instructions for it: torch would only imitate
    them, slower than float32 and less exact.

    Raises
    ------
    ParameterError
        If the precision is unknown.
    """
    if precision not in PRECISIONS:
        raise ParameterError(f"Unknown PRECISION '{precision}'. Choose one of: {', '.join(PRECISIONS)}.")
    if precision == "bfloat16" and device.type == "cpu" and not computes_bfloat16():
        return "float32"
    return precision


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that the memory of the device does not suffice."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in REFUSED)


@contextmanager
def refused_if_full(device: torch.device) -> Iterator[None]:
    """Turn an out-of-memory error into a sentence: not even the network itself fits.

    Raises
    ------
    ParameterError
        If the memory of the device does not suffice for what is done.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise ParameterError(
            f"The memory of the {device.type} device is full: the network itself finds no room. "
            "Close other programs that use it, or set DEVICE=cpu."
        ) from error


@dataclass(frozen=True)
class Inputs:
    """The network's inputs: standardised, filled where nothing was measured.

    Parameters
    ----------
    fine : torch.Tensor
        (1, fine channel, row, column); float64 for a runner of that precision, else float32.
    coarse : torch.Tensor or None
        (1, coarse channel, cell row, cell column); None for a network without coarse channels.
    edges : tuple of bool
        Whether top, bottom, left and right are edges of the scene. What a network makes of pixels within
        its receptive field of a side that is none is not used, so it need not get them right.
    """

    fine: torch.Tensor
    coarse: torch.Tensor | None
    edges: Edges = (True, True, True, True)

    def to(self, dtype: torch.dtype) -> Inputs:
        """Return the inputs in another type."""
        return Inputs(self.fine.to(dtype), None if self.coarse is None else self.coarse.to(dtype), self.edges)

    def plus(self, other: Inputs) -> Inputs:
        """Return the sum of the inputs and others of the same shape."""
        coarse = None if self.coarse is None else self.coarse + other.coarse
        return Inputs(self.fine + other.fine, coarse, self.edges)

    def towards(self, baseline: Inputs, share: float) -> Inputs:
        """Return the point at `share` of the straight line from `baseline` (0) to these inputs (1)."""
        coarse = None if self.coarse is None else torch.lerp(baseline.coarse, self.coarse, share)
        return Inputs(torch.lerp(baseline.fine, self.fine, share), coarse, self.edges)


class Runner:
    """A network on a device, in a precision, with the standardisation of its card.

    Parameters
    ----------
    card : ModelCard
        Channels with mean, standard deviation and fill; heads; radius; alignment.
    module : torch.nn.Module
        ``forward(fine, coarse)`` returns logits (1, output, row, column). It is copied, not changed.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``float32``, ``bfloat16`` or ``float64``; see :func:`usable_precision`.
    fast : bool
        Whether fast paths of the architecture are used; without them all follows from the definition, which a
        caller may have changed.

    Raises
    ------
    ParameterError
        If device or precision is unknown.
    """

    def __init__(
        self,
        card: ModelCard,
        module: nn.Module,
        device: str = "auto",
        precision: str = "float32",
        fast: bool = True,
    ) -> None:
        self.card = card
        self.device = resolve_device(device)
        self.precision = usable_precision(precision, self.device)
        self.dtype = PRECISIONS[self.precision]
        # Weights are kept in float32 for bfloat16: what is derived of them is rounded once, at the end.
        self.input_dtype = torch.promote_types(self.dtype, torch.float32)
        with refused_if_full(self.device):
            self.module = copy.deepcopy(module).eval().requires_grad_(False).to(self.device, self.input_dtype)
        self.fine_channels, self.coarse_channels = card.fine_channels, card.coarse_channels
        self.outputs, self.ratio = card.outputs, card.ratio
        self.radius = int(card.receptive_field_radius)
        self.window: ImageWindow | None = getattr(card, "window", None)
        self.alignment = math.lcm(self.ratio, max(1, int(card.alignment)))
        with refused_if_full(self.device):
            own = fast_paths(self.module, self.dtype) if fast else None
            # What the architecture computes faster than by the definition; what is None there follows from it.
            self.fast: FastPaths = own or self._definition()
        # Whether large tiles cost neither forward passes nor gradients their speed.
        self._in_bands = self.fast.band_rows > 0 and self.fast.gradient is not None
        self.takes_large_tiles = self._in_bands or self.device.type == "cuda"

    @property
    def tiles_ahead(self) -> int:
        """How many more tiles may be predicted at the same time: 1 on several cores, so that none idles at the end."""
        return 1 if self._in_bands and worker_count() > 1 else 0

    def _definition(self) -> FastPaths:
        """Return the forward pass of the definition, in this precision."""
        plain = copy.deepcopy(self.module).to(self.dtype).to(memory_format=torch.channels_last)

        def forward(
            fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges = (True,) * 4
        ) -> torch.Tensor:
            return plain(fine.to(self.dtype), None if coarse is None else coarse.to(self.dtype))

        return FastPaths(forward)

    def on_cpu(self) -> Runner:
        """Return the same network made ready on the CPU."""
        return Runner(self.card, self.module, "cpu", self.precision)

    @property
    def array_dtype(self) -> np.dtype:
        """The numpy type results are accumulated and returned in: float64 for float64, else float32."""
        return np.dtype(np.float64 if self.dtype == torch.float64 else np.float32)

    def standardise(self, patch: Patch, window: Window | None = None) -> Inputs:
        """Return a patch as the network's inputs.

        Values become (value - mean)/sd. Where a fine pixel is not valid, or a value is missing, the
        channel's fill (in standardised units) stands in.

        Parameters
        ----------
        patch : Patch
            What was read, in physical units.
        window : Window, optional
            The pixels the network shall see, inside the patch; they begin on a whole coarse cell. Default: all.

        Raises
        ------
        ModelError
            If the patch does not have the card's channels.
        """
        window = window or patch.window
        if len(patch.fine) != len(self.fine_channels) or len(patch.coarse) != len(self.coarse_channels):
            raise ModelError(
                f"The scene has {len(patch.fine)} fine and {len(patch.coarse)} coarse channels, model "
                f"'{self.card.id}' needs {len(self.fine_channels)} and {len(self.coarse_channels)}."
            )
        rows, cols = window.slices(patch.window)
        fine = self._standardised(
            patch.fine[:, rows, cols], self.fine_channels, missing=~patch.valid[rows, cols]
        )
        edges = window.shared_sides(patch.scene) if patch.scene else (True,) * 4
        if not self.coarse_channels:
            return Inputs(fine, None, edges)
        # The network repeats cells from the first pixel of the window, which begins on a whole cell.
        cells = window.coarser(self.ratio).slices(patch.window.coarser(self.ratio))
        coarse = self._standardised(patch.coarse[(slice(None), *cells)], self.coarse_channels)
        return Inputs(fine, coarse, edges)

    def _standardised(
        self, values: np.ndarray, channels: tuple, missing: np.ndarray | None = None
    ) -> torch.Tensor:
        dtype = self.array_dtype
        mean, sd, fill = (
            np.array([getattr(channel, name) for channel in channels], dtype=dtype)[:, None, None]
            for name in ("mean", "sd", "fill")
        )
        given = torch.empty((1, *values.shape), dtype=self.input_dtype, memory_format=torch.channels_last)
        standard = given[0].numpy()
        for top in range(0, values.shape[1], STANDARDISED_ROWS):
            rows = slice(top, top + STANDARDISED_ROWS)
            known = np.isfinite(values[:, rows])
            if missing is not None:
                known &= ~missing[rows]
            units = values[:, rows].astype(dtype)
            units -= mean
            units /= sd
            np.copyto(units, fill, where=~known)
            # Plane by plane: of all at once, whose pixels take turns in memory, numpy would go pixel by pixel.
            for plane, channel in zip(standard, units):
                plane[rows] = channel
        if self.device.type == "cuda":  # from pinned memory it is copied while the host goes on
            given = given.pin_memory()
        return given.to(self.device, non_blocking=True)

    def constant(self, like: Inputs, levels: tuple[float, ...] = ()) -> Inputs:
        """Return inputs that hold one standardised value per channel (default 0, the channel's mean).

        Raises
        ------
        ParameterError
            If there are levels, but not one for each channel of the card.
        """
        number = len(self.fine_channels) + len(self.coarse_channels)
        if levels and len(levels) != number:
            raise ParameterError(f"The baseline has {len(levels)} values; the model has {number} channels.")
        vector = torch.tensor(levels or (0.0,) * number, dtype=self.input_dtype, device=self.device)
        fine, coarse = vector.split((len(self.fine_channels), len(self.coarse_channels)))
        return Inputs(
            fine.view(1, -1, 1, 1).expand_as(like.fine).contiguous(memory_format=torch.channels_last),
            None if like.coarse is None else coarse.view(1, -1, 1, 1).expand_as(like.coarse).contiguous(),
            like.edges,
        )

    def logits(self, inputs: Inputs) -> torch.Tensor:
        """Return the logits (1, output, row, column) by the fast forward."""
        with torch.inference_mode():
            return self._run_fast(inputs.fine, inputs.coarse, inputs.edges)

    def gradient(self, inputs: Inputs, seeds: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the gradient of Σ seeds · logits with respect to fine and coarse inputs.

        Parameters
        ----------
        inputs : Inputs
            Where the gradient is taken.
        seeds : torch.Tensor
            (1, output, row, column).
        """
        if self.fast.gradient is not None:
            return self.fast.gradient(inputs.fine, inputs.coarse, inputs.edges)[1](seeds)
        with torch.enable_grad():
            fine = inputs.fine.detach().requires_grad_()
            coarse = None if inputs.coarse is None else inputs.coarse.detach().requires_grad_()
            leaves = (fine,) if coarse is None else (fine, coarse)
            # A network need not use every input it is given.
            logits = self._run_fast(fine, coarse, inputs.edges)
            derivatives = torch.autograd.grad(logits, leaves, seeds, allow_unused=True)
        gradients = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, derivatives)]
        return gradients[0], (gradients[1] if coarse is not None else None)

    def _run_fast(self, fine: torch.Tensor, coarse: torch.Tensor | None, edges: Edges) -> torch.Tensor:
        return self.fast.forward(fine, coarse, edges).to(self.input_dtype)

    @property
    def has_components(self) -> bool:
        """Whether the network ends in a 1 x 1 convolution, whose inputs are the components."""
        return self._output is not None

    @cached_property
    def _output(self) -> OutputConvolution | None:
        return output_convolution(self.module)

    def _output_convolution(self) -> OutputConvolution:
        if self._output is None:
            raise ModelError(
                f"The network of '{self.card.id}' has no components: it does not end in a 1 x 1 convolution."
            )
        return self._output

    def components(self, inputs: Inputs) -> torch.Tensor:
        """Return the inputs (1, component, row, column) of the network's last 1 x 1 convolution.

        Raises
        ------
        ModelError
            If the network does not end in one.
        """
        with torch.inference_mode():
            if self.fast.components is not None:
                return self.fast.components(inputs.fine, inputs.coarse)
            return self._output_convolution().inputs(self.module, inputs.fine, inputs.coarse)

    def activation(self, inputs: Inputs, layer: str) -> torch.Tensor:
        """Return what a layer of the network's definition puts out, (1, channel, row, column), at its resolution.

        Parameters
        ----------
        inputs : Inputs
            The inputs.
        layer : str
            One of :attr:`layer_names`.

        Raises
        ------
        ModelError
            If the network has no such layer.
        """
        with torch.inference_mode():
            return activation(self.module, layer, inputs.fine, inputs.coarse)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers whose output can be looked at, from the inputs to the logits."""
        return layer_names(self.module)

    def output_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (output, component) and biases (output,) of the last 1 x 1 convolution, float64.

        Raises
        ------
        ModelError
            If the network does not end in one.
        """
        weight, bias = self._output_convolution().weights(self.module)
        return weight.cpu().numpy(), bias.cpu().numpy()

    def array(self, tensor: torch.Tensor) -> np.ndarray:
        """Return a tensor as an array on the host: float64 for float64, else float32."""
        wanted = torch.float64 if self.dtype == torch.float64 else torch.float32
        return tensor.detach().to("cpu", wanted).numpy()


def check_finite(logits: np.ndarray, valid: np.ndarray, window: Window) -> None:
    """Refuse logits that are not numbers.

    Parameters
    ----------
    logits : numpy.ndarray
        (output, row, column).
    valid : numpy.ndarray
        (row, column), bool: the pixels that matter.
    window : Window
        Where they lie, for the message.

    Raises
    ------
    NumericalError
        If a logit of a valid pixel is not finite.
    """
    # To look at all pixels first needs no copy of the valid ones, and mostly suffices.
    if all(np.isfinite(plane).all() for plane in logits):
        return
    if not np.isfinite(logits[:, valid]).all():
        raise NumericalError(
            f"The network returned logits that are not finite at rows {window.row} to {window.row_stop}, "
            f"columns {window.col} to {window.col_stop}. Check the units of the channels, and the weights."
        )
