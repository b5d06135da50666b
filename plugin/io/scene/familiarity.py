"""Whether a scene looks like those that a network was trained on: its channels' means and spreads.

The card holds each channel's mean and standard deviation in training. A channel is *unfamiliar* where the scene's
mean lies more than :data:`MOST_SHIFT` of these standard deviations from that mean, or where it spreads more than
:data:`MOST_SPREAD` times as far. A *small* spread is no sign: a calm sea or closed pack ice, or a part of a
scene, has a hundredth of it. Of 8,025 AMSR2 footprints over Arctic water, first-year, multi-year and summer ice the
mean of no kind lies farther off than 2.8 (multi-year ice in winter, 89 GHz V). Bright backscatter is judged more
strictly (:data:`MOST_BRIGHTER`).

What the physics of the sensor orders is compared too: vertical polarisation is warmer than horizontal, like
polarisation brighter than cross polarisation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...networks.card import Channel, ModelCard
from .physical_range import CO_POLARISED, CROSS_POLARISED, physical_range

MOST_SHIFT = 3.0
MOST_SPREAD = 3.0
# Backscatter of ice and water is low: bright pack ice has -18.7 dB of HV on average, where 2 standard deviations end at
# -15.2. What lies above is land, or no backscatter in dB, such as 10 log10 of the amplitude.
MOST_BRIGHTER = 2.0
# Least mean difference: of brightness temperatures V − H in K, of backscatter like − cross in dB. Below that of
# `IMPOSSIBLE_DIFFERENCE` nothing on Earth lies: noise alone makes like and cross polarisation equal.
LEAST_DIFFERENCE = {"temperature": 1.0, "backscatter": 1.0}
IMPOSSIBLE_DIFFERENCE = {"temperature": -5.0, "backscatter": -3.0}
# No sea, ice or land returns so much of cross polarisation, where that lies above the noise: mean like − cross, and
# mean cross, in dB.
LEAST_DEPOLARISED, ABOVE_NOISE = 4.0, -20.0
_LISTED = 3


@dataclass(frozen=True)
class Unfamiliar:
    """A channel that is distributed otherwise than in training.

    Parameters
    ----------
    channel : Channel
        The channel, with its mean and standard deviation in training.
    mean, sd : float
        Those of the scene, in the channel's unit.
    """

    channel: Channel
    mean: float
    sd: float

    @property
    def shift(self) -> float:
        """How many standard deviations of training the scene's mean lies from that of training."""
        return (self.mean - self.channel.mean) / self.channel.sd

    @property
    def text(self) -> str:
        """Both distributions: ``hh is -2.1 ± 3 dB (training: -14.5 ± 5.66 dB)``."""
        channel, unit = self.channel, "" if self.channel.unit == "1" else f" {self.channel.unit}"
        return (
            f"{channel.name} is {self.mean:.4g} ± {self.sd:.3g}{unit} "
            f"(training: {channel.mean:.4g} ± {channel.sd:.3g}{unit})"
        )


def unfamiliar_channels(
    card: ModelCard, samples: Mapping[str, np.ndarray], least: int = 16
) -> tuple[Unfamiliar, ...]:
    """Return the channels whose distribution lies far from that in training.

    Parameters
    ----------
    card : ModelCard
        Means and standard deviations.
    samples : mapping
        By channel, values of the scene (n,) in the channel's unit; NaN where there is no data.
    least : int
        Fewer values are not judged.
    """
    unfamiliar = []
    for channel in card.channels:
        values = samples.get(channel.name)
        known = values[np.isfinite(values)].astype(np.float64) if values is not None else np.empty(0)
        if len(known) < least:
            continue
        odd = Unfamiliar(channel, float(known.mean()), float(known.std()))
        known_range = physical_range(channel)
        radar = known_range is not None and known_range.quantity == "backscatter"
        highest = MOST_BRIGHTER if radar else MOST_SHIFT
        if not -MOST_SHIFT <= odd.shift <= highest or odd.sd > MOST_SPREAD * channel.sd:
            unfamiliar.append(odd)
    return tuple(unfamiliar)


def unfamiliar_warning(card: ModelCard, unfamiliar: Sequence[Unfamiliar]) -> str:
    """Return the warning of unfamiliar channels, the farthest first."""
    ordered = sorted(unfamiliar, key=lambda odd: -max(abs(odd.shift), odd.sd / odd.channel.sd))
    named = "; ".join(odd.text for odd in ordered[:_LISTED])
    more = f"; and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return (
        f"The scene is outside of what model '{card.id}' was trained on: {named}{more}. Check sensor and units; "
        "if they are right, trust the result less."
    )


@dataclass(frozen=True)
class Disordered:
    """Two polarisations in the wrong order.

    Parameters
    ----------
    high, low : Channel
        The one that should have the higher values, and the other.
    quantity : str
        Of their values.
    difference : float
        Mean of high − low, K or dB.
    """

    high: Channel
    low: Channel
    quantity: str
    difference: float

    @property
    def text(self) -> str:
        """The pair and its difference: ``hh − hv is -11 dB on average``."""
        unit = "K" if self.quantity == "temperature" else "dB"
        return f"{self.high.name} − {self.low.name} is {self.difference:+.3g} {unit} on average"


def disordered_pairs(
    card: ModelCard, samples: Mapping[str, np.ndarray], least: int = 16
) -> tuple[tuple[Disordered, ...], bool]:
    """Return the pairs of polarisations in the wrong order, and whether no sea, ice or land explains them.

    Nothing does where cross polarisation is clearly the brighter, or where of a radiometer's pairs half or more are
    clearly reversed.
    """
    pairs: list[Disordered] = []
    judged = {"temperature": 0, "backscatter": 0}
    for quantity, high, low in _pairs(card):
        if high.name not in samples or low.name not in samples:
            continue
        above, below = samples[high.name], samples[low.name]
        if above.shape != below.shape:
            continue
        difference = (above.astype(np.float64) - below)[np.isfinite(above) & np.isfinite(below)]
        if len(difference) < least:
            continue
        judged[quantity] += 1
        if difference.mean() < LEAST_DIFFERENCE[quantity]:
            pairs.append(Disordered(high, low, quantity, float(difference.mean())))
    reversed_ = [pair.quantity for pair in pairs if pair.difference < IMPOSSIBLE_DIFFERENCE[pair.quantity]]
    radiometry = reversed_.count("temperature")
    impossible = "backscatter" in reversed_ or (radiometry > 0 and 2 * radiometry >= judged["temperature"])
    return tuple(pairs), impossible


def halved_error(card: ModelCard, samples: Mapping[str, np.ndarray], assumed: Collection[str]) -> str:
    """Return the sentence of backscatter whose polarisations lie too near each other; empty where they do not.

    Decibels of an amplitude, 10 log10 in place of 20, are halved, and so is what lies between the polarisations.

    Parameters
    ----------
    card : ModelCard
        The channels.
    samples : mapping
        By channel, values of the scene, dB.
    assumed : collection of str
        Channels that are in dB for all that is known: only these are judged.
    """
    for quantity, high, low in _pairs(card):
        if quantity != "backscatter" or not {high.name, low.name} <= set(assumed) & set(samples):
            continue
        like, cross = (np.asarray(samples[each.name], np.float64) for each in (high, low))
        known = np.isfinite(like) & np.isfinite(cross) if like.shape == cross.shape else np.zeros(0, bool)
        if not known.any():
            continue
        apart, level = float((like - cross)[known].mean()), float(cross[known].mean())
        if 0 <= apart < LEAST_DEPOLARISED and level > ABOVE_NOISE:
            return (
                f"{low.name} is {level:.3g} dB on average and only {apart:.2g} dB below {high.name}, and no unit is "
                "declared: no sea or ice depolarises so much. The values may be 10 log10 of amplitude, half of dB: "
                "declare the bands' unit, or convert them to dB; if they are dB, set ACCEPT_RANGE."
            )
    return ""


def order_warning(pairs: Sequence[Disordered]) -> str:
    """Return the warning of pairs of polarisations in the wrong order."""
    return (
        f"Polarisations are not as over sea and ice, where each of these is above 1: {_some(pairs)}. The bands may be "
        "interchanged, or of another sensor: check them."
    )


def order_error(pairs: Sequence[Disordered]) -> str:
    """Return the sentence of pairs whose order nothing on Earth explains."""
    return (
        f"Polarisations are interchanged, or bands are of another sensor: {_some(pairs)}; over sea, ice and land each "
        "of these is above 0. Check the bands' names and order and CHANNELS; if they are right, set ACCEPT_RANGE."
    )


def _some(pairs: Sequence[Disordered]) -> str:
    ordered = sorted(pairs, key=lambda pair: pair.difference)
    more = f"; and {len(pairs) - _LISTED} pairs more" if len(pairs) > _LISTED else ""
    return f"{'; '.join(pair.text for pair in ordered[:_LISTED])}{more}"


def _pairs(card: ModelCard) -> list[tuple[str, Channel, Channel]]:
    """Return (quantity, channel with the higher values, channel with the lower ones), in base units alone."""
    pairs = []
    for high in card.channels:
        for low in card.channels:
            known, other = physical_range(high), physical_range(low)
            if high is low or high.sensor != low.sensor or known is None or other is None:
                continue
            if not all(each.measured and each.unit.is_base for each in (known, other)):
                continue
            a, b = high.polarisation.lower(), low.polarisation.lower()
            radiometry = (a, b) == ("v", "h") and high.frequency_ghz == low.frequency_ghz
            radar = a in CO_POLARISED and b in CROSS_POLARISED
            if radiometry or radar:
                pairs.append((known.quantity, high, low))
    return pairs
