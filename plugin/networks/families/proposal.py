"""What a file is found to be: facts, assumptions, what is still needed, and the card made of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...ground.errors import ModelError
from ...ground.vocabulary.words import CONCATENATIONS
from ..card import Channel, Component, Head, ImageWindow
from ..files import listed, shown
from .published import CELL_M, FAMILIES, Family, published_channel
from .unet import Choices

if TYPE_CHECKING:
    from torch import Tensor

    from ..card import ModelCard

NOT_STATED = "not stated"
_ID = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Given:
    """What a person says of a network; what is empty or 0 follows from the file and its family.

    Parameters
    ----------
    family : str
        ``auto`` or a word of :data:`.published.FAMILIES`.
    name : str
        Title of the model; its id is made of it.
    channels : str
        Canonical names of the inputs in the network's order, ``hh,hv,incidence_angle``.
    pixel_size_m : float
        Of the data it was trained on.
    ratio : int
        Fine pixels along a coarse cell.
    order, padding, upsampling : str
        See :class:`.unet.Choices`; ``auto`` or empty: those of the family.
    licence : str
        Of the weights.
    window, overlap : int
        Side and least overlap of the windows that a network which depends on the whole image is run in, in pixels; 0:
        at once, and a quarter of the side.
    card : mapping
        Fields of a card by hand: they hold before all else.
    """

    family: str = "auto"
    name: str = ""
    channels: str = ""
    pixel_size_m: float = 0.0
    ratio: int = 0
    order: str = ""
    padding: str = ""
    upsampling: str = ""
    licence: str = ""
    window: int = 0
    overlap: int = 0
    card: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Findings:
    """Sentences on a file.

    Attributes
    ----------
    found : list of str
        What its tensors tell.
    assumed : list of str
        What the family's published code says, and the file does not contradict.
    needed : list of str
        What has to be given before a package can be made.
    """

    found: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Proposal:
    """What a file is found to be.

    Parameters
    ----------
    family : str
        A word of :data:`.published.FAMILIES`.
    findings : Findings
        Sentences.
    card : ModelCard or None
        None as long as something is needed.
    weights : mapping of str to torch.Tensor
        Of the card's network.
    file_parameters : int
        Numbers in the file, of layers that lead to an output or not.
    """

    family: str
    findings: Findings
    card: ModelCard | None
    weights: Mapping[str, Tensor]
    file_parameters: int

    def complete(self) -> ModelCard:
        """Return the card.

        Raises
        ------
        ModelError
            If something is still needed.
        """
        if self.card is None:
            raise ModelError(f"Still needed for a model package: {' '.join(self.findings.needed)}")
        return self.card


def identifier(name: str) -> str:
    """Return the id that a title becomes: lower-case letters, digits and hyphens."""
    made = _ID.sub("-", name.lower()).strip("-")[:100].strip("-")
    made = made if made[:1].isalpha() else f"model-{made}".strip("-")
    return made if len(made) >= 3 else f"{made}-model"


def choices_of(given: Given, family: Family, transposed: bool, findings: Findings) -> Choices | None:
    """Return how a U-Net joins, pads and upsamples; None where the order must be given."""
    known = family.choices
    order = given.order if given.order not in ("", "auto") else (known.order if known else "")
    padding = given.padding if given.padding not in ("", "auto") else (known.padding if known else "zeros")
    upsampling = given.upsampling if given.upsampling not in ("", "auto") else "aligned"
    if not order:
        findings.needed.append(
            "ORDER: which half of a concatenation comes first (upsampled_first or skip_first); tensors do not tell."
        )
        return None
    settings = {"ORDER": given.order, "PADDING": given.padding, "UPSAMPLING": given.upsampling}
    chosen = [f"{name}={word}" for name, word in settings.items() if word not in ("", "auto")]
    if chosen:
        findings.found.append(f"By parameters: {', '.join(chosen)}.")
    if given.order in ("", "auto"):
        findings.assumed.append(
            f"Concatenations hold {CONCATENATIONS[order]}, as in the family's code (ORDER={order})."
        )
    if given.padding in ("", "auto"):
        findings.assumed.append(f"Borders are padded by {padding} (PADDING).")
    if given.upsampling in ("", "auto") and not transposed:
        findings.assumed.append(
            "Bilinear upsampling goes from corner to corner of the image, as in the family's code (UPSAMPLING=aligned)."
        )
    return Choices(order, padding, upsampling)


def channels_of(
    count: int, given: Given, family: Family, ratio: int, findings: Findings
) -> tuple[Channel, ...] | None:
    """Return the channels in the network's order; None where they must be given.

    Raises
    ------
    ModelError
        If those given are not as many as the network's inputs, or unknown.
    """
    by_hand = given.card.get("channels")
    if by_hand is not None:
        if len(by_hand) != count:
            raise ModelError(f"CARD lists {len(by_hand)} channels, but the network has {count} inputs.")
        return tuple(by_hand)
    names = tuple(name.strip() for name in given.channels.split(",") if name.strip())
    if not names:
        if len(family.channels) != count:
            findings.needed.append(
                f"CHANNELS: the names of the {count} inputs in the network's order, such as hh,hv,incidence_angle."
            )
            return None
        names = family.channels
        findings.assumed.append(
            f"The {count} channels stand in the family's published order, {names[0]} to {names[-1]} (CHANNELS)."
        )
    if len(names) != count:
        raise ModelError(
            f"CHANNELS names {len(names)} channels ({listed(names, 5)}), but the network has {count} inputs. Name each "
            "in the network's order."
        )
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ModelError(f"CHANNELS names {shown(doubled[0])} twice. Name each input once.")
    made = [(name, published_channel(name, family, ratio)) for name in names]
    unknown = [name for name, channel in made if channel is None]
    if unknown:
        findings.needed.append(
            f"CARD: channels with mean and standard deviation, which are not published for {listed(unknown)}."
        )
        return None
    whose = "those of the family" if family.statistics else "the global ones of the AI4Arctic challenge"
    findings.assumed.append(
        f"Means and standard deviations are {whose}; missing values become the mean (CARD: channels)."
    )
    return tuple(channel for _, channel in made if channel is not None)


def pixel_size_of(given: Given, family: Family, findings: Findings) -> float:
    """Return the pixel size in metres; 0 where it must be given."""
    size = float(given.card.get("pixel_size_m", 0.0)) or given.pixel_size_m
    if size:
        return size
    if family.pixel_size_m:
        findings.assumed.append(
            f"Pixels have {family.pixel_size_m:g} m, as in the family's data (PIXEL_SIZE)."
        )
        return family.pixel_size_m
    findings.needed.append("PIXEL_SIZE: the size of the pixels it was trained on, in metres.")
    return 0.0


def ratio_of(given: Given, size: float) -> int:
    """Return the fine pixels along a coarse cell; 0 where cells are no whole number of pixels."""
    if given.ratio:
        return given.ratio
    ratio = CELL_M / size if size else 1.0
    return round(ratio) if ratio >= 1 and abs(ratio - round(ratio)) < 1e-6 else 0


def head_of(
    name: str, outputs: int, family: Family, by_hand: Head | None, findings: Findings
) -> tuple[Head, int] | None:
    """Return a head, and how many outputs of the file it keeps; None where it must be given.

    Raises
    ------
    ModelError
        If a head by hand has another number of classes than the file has outputs.
    """
    candidates = (by_hand,) if by_hand is not None else family.heads.get(name, ())
    for head in candidates:
        if head.outputs == outputs:
            if by_hand is None:
                findings.assumed.append(_meaning(name, head))
            return head, outputs
    for head in candidates:
        if head.kind == "softmax" and head.outputs == outputs - 1 and (family.masked or by_hand is not None):
            findings.assumed += (
                *([] if by_hand is not None else [_meaning(name, head)]),
                f"The last of the {outputs} outputs of '{name}' stands for masked pixels: it is left out, and so never "
                "mapped.",
            )
            return head, outputs - 1
    if by_hand is not None:
        raise ModelError(
            f"CARD gives the head {shown(by_hand.name)} {by_hand.outputs} classes, but '{name}' of the file has "
            f"{outputs} outputs."
        )
    findings.needed.append(
        f"CARD: heads with the names and values of the {outputs} classes of '{name}', which are not published."
    )
    return None


def _meaning(name: str, head: Head) -> str:
    """Return what a head is taken for, as a sentence."""
    names = listed((entry.name for entry in head.classes), 4)
    unit = f" in {head.unit}" if head.unit else ""
    return f"The outputs '{name}' are taken for the head '{head.name}' ({head.kind}{unit}: {names}) (CARD: heads)."


def components_of(count: int, channels: Sequence[Channel]) -> tuple[Component, ...]:
    """Return the inputs of the last 1 x 1 convolution of a network that mixes all its channels before."""
    sensors = "+".join(dict.fromkeys(channel.sensor for channel in channels))
    return tuple(Component(f"feature_{number + 1:02d}", sensors, "features") for number in range(count))


def family_named(word: str) -> Family:
    """Return a family by its word.

    Raises
    ------
    ModelError
        If there is none.
    """
    if word not in FAMILIES:
        raise ModelError(f"There is no FAMILY {shown(word)}. Choose among auto, {', '.join(FAMILIES)}.")
    return FAMILIES[word]


def window_of(given: Given, whole_image: bool, findings: Findings) -> ImageWindow | None:
    """Return the windows that scenes are run in; None where tiles are exact, or a scene is run at once.

    Raises
    ------
    CardError
        If size and overlap do not fit each other.
    """
    by_hand = given.card.get("window")
    if not whole_image:
        if given.window:
            findings.found.append(
                "WINDOW is not needed: an output depends on its surroundings alone, tiles are exact."
            )
        return by_hand
    window = ImageWindow(given.window, given.overlap or given.window // 4) if given.window else by_hand
    if window is None:
        findings.found.append(
            "The output depends on the whole image: scenes are run at once, as far as MEMORY allows. Give WINDOW (the "
            "side of the training images) to run them in windows that overlap."
        )
    else:
        findings.found.append(
            f"The output depends on the whole image: scenes are run in windows of {window.size} x {window.size} pixels "
            f"that overlap by {window.overlap} at least; each run measures what is left at their seams."
        )
    return window
