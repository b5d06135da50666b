"""Data for the tests of channels: contributions, labels and evidence made by functions."""

from __future__ import annotations

import numpy as np
from floelens.plugin.core.zscores.channels.evidence import ChannelAccumulator, ChannelEvidence
from floelens.plugin.core.zscores.channels.levels import InputChannel
from scipy import special

CHANNELS = (
    InputChannel("hh", "sar"),
    InputChannel("hv", "sar"),
    InputChannel("btemp_18_7h", "mwr", 18.7, "h"),
    InputChannel("btemp_18_7v", "mwr", 18.7, "v"),
    InputChannel("btemp_36_5h", "mwr", 36.5, "h"),
    InputChannel("btemp_36_5v", "mwr", 36.5, "v"),
)


def contributions(seed: int, n: int, channels: int, outputs: int = 1) -> np.ndarray:
    """Return correlated contributions (n, output, channel) in single precision, as a network gives them."""
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(n, outputs, 1))
    return (0.5 * common + generator.normal(size=(n, outputs, channels)) + 0.3).astype(np.float32)


def drawn(seed: int, logits: np.ndarray) -> np.ndarray:
    """Return labels drawn from logits (n,) or (n, class)."""
    generator = np.random.default_rng(seed)
    if logits.ndim == 1:
        return (generator.random(len(logits)) < special.expit(logits)).astype(float)
    return np.argmax(logits + generator.gumbel(size=logits.shape), axis=1).astype(float)


def evidence_of(
    parts: np.ndarray,
    offset: np.ndarray,
    labels: np.ndarray | None = None,
    clusters: np.ndarray | None = None,
    kind: str = "sigmoid",
    channels: tuple[InputChannel, ...] | None = None,
    scene: str = "scene",
    capacity: int | None = None,
    batch: int = 700,
    first: int = 0,
) -> ChannelEvidence:
    """Return the evidence of one scene whose pixels lie in a row, from column `first` on."""
    channels = channels or CHANNELS[: parts.shape[-1]]
    outputs = parts.shape[1] if parts.ndim == 3 else 1
    names = [f"class_{k}" for k in range(outputs)]
    accumulator = ChannelAccumulator(
        ChannelEvidence.empty("ice", kind, names, channels, "integrated, baseline 0", capacity), scene
    )
    for start in range(0, len(parts), batch):
        part = slice(start, start + batch)
        cols = first + np.arange(len(parts))[part]
        accumulator.add(
            offset[part],
            parts[part],
            np.zeros(len(cols), int),
            cols,
            None if labels is None else labels[part],
            None if clusters is None else {"blocks": clusters[part]},
        )
    return accumulator.close()
