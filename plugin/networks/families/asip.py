"""The ASIP networks of Malmgren-Hansen et al.: Keras weights as those of the architecture ``aspp_fusion``.

Kernels are turned from (row, column, input, output) to (output, input, row, column); batch norms keep Keras' epsilon
of 1e-3. Variant, numbers of channels and the way of upsampling follow from shapes, activation and cell size from the
stored architecture where the file has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...ground.errors import ModelError
from ..aspp.card import RECEPTIVE_FIELD_RADIUS, aspp_components
from ..aspp.variants import SCALES, VARIANTS
from ..card import Architecture, Head
from ..files import listed, shown
from .proposal import (
    Findings,
    Given,
    Proposal,
    channels_of,
    family_named,
    head_of,
    pixel_size_of,
    ratio_of,
)
from .published import CONCENTRATION_SHARE
from .unet_proposal import make_card

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_TRUNK = tuple(f"conv{number}" for number in range(1, 7))
_NORM_PARTS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_FIRST, _MIDDLE = 12, 18  # filters
NORM_EPSILON = 1e-3  # Keras' default
Layers = Mapping[str, "Mapping[str, np.ndarray]"]


@dataclass(frozen=True)
class AsipForm:
    """An ASIP network as its arrays tell it.

    Parameters
    ----------
    variant : str
        A word of :data:`~floelens.plugin.networks.aspp.variants.VARIANTS`.
    fine, coarse : int
        Channels.
    outputs : int
        Logits.
    arrays : mapping of str to mapping
        Keras' arrays by the name of the layer in the definition.
    """

    variant: str
    fine: int
    coarse: int
    outputs: int
    arrays: Layers


def recognise(layers: Layers) -> AsipForm:
    """Return the network that Keras layers belong to.

    Parameters
    ----------
    layers : mapping of str to mapping
        Arrays by layer, those of a kind in the order in which they were made.

    Raises
    ------
    ModelError
        Naming the first layer that does not fit, and how.
    """
    convolutions = {name: arrays for name, arrays in layers.items() if "kernel" in arrays}
    norms = {name: arrays for name, arrays in layers.items() if "moving_mean" in arrays}
    others = [name for name in layers if name not in convolutions and name not in norms]
    if others:
        raise ModelError(
            f"The layer {shown(others[0])} is neither a convolution nor a batch norm: no ASIP network."
        )
    wanted = len(_TRUNK) + len(SCALES)
    if len(convolutions) not in (wanted + 1, wanted + 2) or len(norms) != 2:
        raise ModelError(
            f"The file has {len(convolutions)} convolutions and {len(norms)} batch norms; an ASIP network has "
            f"{wanted + 1} (with a hidden layer {wanted + 2}) and 2. Export other networks as ONNX."
        )
    names = [*_TRUNK, *(f"scales.{number}" for number in range(len(SCALES)))]
    names += ["hidden"] * (len(convolutions) == wanted + 2) + ["output"]
    arrays = {**dict(zip(names, convolutions.values())), **dict(zip(("norm1", "norm2"), norms.values()))}
    origin = {**dict(zip(names, convolutions)), **dict(zip(("norm1", "norm2"), norms))}
    for name in names:
        kernel = arrays[name]["kernel"]
        if kernel.ndim != 4:
            raise ModelError(
                f"The kernel of {shown(origin[name])} has the shape {kernel.shape}: no convolution."
            )
    fine = int(arrays["conv1"]["kernel"].shape[2])
    skip, scale = (int(arrays[name]["kernel"].shape[3]) for name in ("conv2", "scales.0"))
    hidden = int(arrays["hidden"]["kernel"].shape[3]) if "hidden" in arrays else 0
    variant = next(
        (n for n, v in VARIANTS.items() if (v.skip, v.scale, v.hidden) == (skip, scale, hidden)), ""
    )
    if not variant:
        known = listed(f"{v.skip}/{v.scale}/{v.hidden}" for v in VARIANTS.values())
        raise ModelError(
            f"Filters of skip, scale and hidden layer are {skip}/{scale}/{hidden}; known variants have {known}. Export "
            "other networks as ONNX."
        )
    joined = int(arrays["hidden" if hidden else "output"]["kernel"].shape[2])
    coarse = joined - skip - len(SCALES) * scale
    if coarse < 0:
        raise ModelError(
            f"The layer behind the concatenation, {shown(origin['hidden' if hidden else 'output'])}, takes {joined} "
            f"channels, fewer than the {skip + len(SCALES) * scale} of skip and scales."
        )
    outputs = int(arrays["output"]["kernel"].shape[3])
    for name, part, shape in _shapes(fine, coarse, outputs, variant):
        own = arrays[name].get(part)
        if own is None:
            raise ModelError(f"The layer {shown(origin[name])} has no array '{part}'.")
        if own.shape != shape:
            raise ModelError(
                f"The array '{part}' of {shown(origin[name])} has the shape {own.shape} instead of {shape} for the "
                f"variant '{variant}'."
            )
    return AsipForm(variant, fine, coarse, outputs, arrays)


def _shapes(fine: int, coarse: int, outputs: int, variant: str) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield the shape of each array in Keras' order of axes: the layer, the array, and its shape."""
    widths = VARIANTS[variant]
    joined = widths.skip + len(SCALES) * widths.scale + coarse
    sides = [(fine, _FIRST), (_FIRST, widths.skip), (widths.skip, _MIDDLE), *[(_MIDDLE, _MIDDLE)] * 3]
    convolutions = [(name, 3, *side) for name, side in zip(_TRUNK, sides)]
    convolutions += [(f"scales.{number}", 3, _MIDDLE, widths.scale) for number in range(len(SCALES))]
    if widths.hidden:
        convolutions.append(("hidden", 1, joined, widths.hidden))
    convolutions.append(("output", 1, widths.hidden or joined, outputs))
    for name, kernel, inputs, filters in convolutions:
        yield name, "kernel", (kernel, kernel, inputs, filters)
        yield name, "bias", (filters,)
    for name, filters in (("norm1", widths.skip), ("norm2", _MIDDLE)):
        for part in _NORM_PARTS:
            yield name, part, (filters,)


def asip(form: AsipForm) -> dict[str, Tensor]:
    """Return the weights of the definition in :mod:`~floelens.plugin.networks.aspp.definition`."""
    import torch

    weights = {}
    for name, arrays in form.arrays.items():
        for part, values in arrays.items():
            tensor = torch.from_numpy(values.copy())
            if part == "kernel":
                weights[f"{name}.weight"] = tensor.permute(3, 2, 0, 1).contiguous()
            else:
                weights[f"{name}.{_NORM_PARTS.get(part, part)}"] = tensor
    return weights


@dataclass(frozen=True)
class _Stored:
    """What the stored architecture tells; defaults where the file has none."""

    activation: str = ""
    ratio: int = 0
    epsilon: float = NORM_EPSILON

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> _Stored:
        inner = config.get("config")
        layers = inner.get("layers") if isinstance(inner, Mapping) else None
        facts: dict[str, Any] = {}
        for layer in layers if isinstance(layers, list) else ():
            settings = layer.get("config") if isinstance(layer, Mapping) else None
            if not isinstance(settings, Mapping):
                continue
            kind = layer.get("class_name")
            activation, size, epsilon = (settings.get(name) for name in ("activation", "size", "epsilon"))
            if kind == "Conv2D" and activation in ("sigmoid", "linear"):
                facts["activation"] = activation  # the last one's holds
            elif kind == "UpSampling2D" and isinstance(size, list) and size and isinstance(size[0], int):
                facts["ratio"] = size[0] if 1 <= size[0] <= 1000 else 0
            elif kind == "BatchNormalization" and isinstance(epsilon, (int, float)):
                facts["epsilon"] = float(epsilon)
        return cls(**facts)


def propose_asip(layers: Layers, config: Mapping[str, Any], given: Given) -> Proposal:
    """Return what Keras layers are found to be.

    Parameters
    ----------
    layers : mapping of str to mapping
        Arrays by layer.
    config : mapping
        The stored architecture; empty where the file has none.
    given : Given
        What a person says.

    Raises
    ------
    ModelError
        If they are no ASIP network, or what is given contradicts them.
    """
    form = recognise(layers)
    family = family_named("asip")
    count = sum(values.size for arrays in form.arrays.values() for values in arrays.values())
    findings = Findings(
        [
            f"An ASIP network of the variant '{form.variant}' with {form.fine} fine and {form.coarse} coarse channels.",
            f"{count:,} parameters, batch-norm statistics included.",
        ]
    )
    stored = _Stored.of(config)
    if stored.epsilon != NORM_EPSILON:
        raise ModelError(
            f"The batch norms of the file have an epsilon of {stored.epsilon:g}; those of ASIP networks have Keras' "
            f"{NORM_EPSILON:g}. Export the network as ONNX."
        )
    size = pixel_size_of(given, family, findings)
    ratio = given.ratio or stored.ratio or ratio_of(given, size) or 1
    if not form.coarse:
        family = replace(family, channels=family.channels[:2])  # SAR alone
    channels = channels_of(form.fine + form.coarse, given, family, ratio, findings)
    by_hand = given.card.get("heads")
    kind = stored.activation
    if not by_hand and kind == "linear":
        head: tuple[Head, int] | None = (CONCENTRATION_SHARE, form.outputs)
        findings.found.append("Its output is linear: the stored architecture says so.")
    else:
        head = head_of("output", form.outputs, family, by_hand[0] if by_hand else None, findings)
        if not kind and not by_hand:
            findings.assumed.append("Its output is a sigmoid; the file does not store the architecture.")
    if channels is None or head is None or not size:
        return Proposal("asip", findings, None, {}, count)
    grids = ["fine"] * form.fine + ["coarse"] * form.coarse
    wrong = next((c.name for c, grid in zip(channels, grids) if c.grid != grid), "")
    if wrong:
        raise ModelError(
            f"The network has {form.fine} fine channels and then {form.coarse} coarse ones; {shown(wrong)} does not "
            "fit its place. Name them in this order."
        )
    if not given.card.get("channels"):
        findings.assumed.append(
            "The statistics of the ASIP data are not published. Where the network was trained with others than the "
            "challenge's its map is wrong: give CARD."
        )
    card = make_card(
        given,
        family,
        findings,
        architecture=Architecture(
            "aspp_fusion", {"variant": form.variant, "ratio": ratio, "outputs": form.outputs}
        ),
        channels=channels,
        heads=(head[0],),
        components=aspp_components(form.variant, channels),
        pixel_size_m=size,
        receptive_field_radius=RECEPTIVE_FIELD_RADIUS,
        alignment=ratio if form.coarse else 1,
    )
    return Proposal("asip", findings, card, asip(form), count)
