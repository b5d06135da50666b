"""The parts of a model card: channels, heads, components, architecture, weights, training."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..ground.vocabulary.words import PREDICTED
from .card_checks import (
    LARGEST,
    MOST_DEVIATIONS,
    MOST_FILL,
    MOST_PIXELS,
    SMALLEST,
    CardError,
    check_integer,
    check_name,
    check_text,
    check_unique,
    check_word,
    keep_json,
    keep_number,
    keep_numbers,
    keep_texts,
)
from .files import shown

CLASS_NODATA = 255
CLASS_LAND = 254
MOST_WINDOW = 8192  # pixels along a window that a scene is run in
GRIDS = ("fine", "coarse")
KINDS = ("sigmoid", "softmax", "linear")
# Names of parameters' values that a class cannot have as well.
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".npy", ".npz")
RESERVED_CLASS_NAMES = (PREDICTED,)


def normalised(name: str) -> str:
    """Return a band's name as it is compared: no case, no outer spaces, dots as underscores."""
    return name.strip().lower().replace(".", "_")


@dataclass(frozen=True)
class Training:
    """Where a model comes from.

    Parameters
    ----------
    data : str
        What it was trained on.
    script : str
        The command that trains it.
    details : mapping
        Anything else worth keeping (epochs, seeds, losses): JSON values.
    """

    data: str = ""
    script: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_text(self.data, "data")
        check_text(self.script, "script")
        keep_json(self, "details")


@dataclass(frozen=True)
class Architecture:
    """Which network the weights belong to.

    Parameters
    ----------
    name : str
        A name that :func:`.package.build` knows.
    arguments : mapping
        Its arguments: JSON values.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "name", "Name the architecture, such as aspp_fusion.")
        keep_json(self, "arguments")


@dataclass(frozen=True)
class ImageWindow:
    """The images that a network was trained on, where its output depends on all of the image.

    Parameters
    ----------
    size : int
        Their side, in fine pixels: scenes are run in windows of this size.
    overlap : int
        Pixels, at least, that neighbouring windows have in common.
    """

    size: int
    overlap: int = 0

    def __post_init__(self) -> None:
        check_integer(
            self.size, "size", 16, "Give the side of the training images in pixels.", most=MOST_WINDOW
        )
        remedy = f"Give fewer pixels than the size of {self.size}; a quarter of it is usual."
        check_integer(self.overlap, "overlap", 0, remedy, most=self.size - 1)


@dataclass(frozen=True)
class Weights:
    """The file of the weights.

    Parameters
    ----------
    file : str
        Name of a safetensors file in the card's folder.
    sha256 : str
        Its checksum, 64 hexadecimal digits; empty as long as the file is not written.
    """

    file: str = "weights.safetensors"
    sha256: str = ""

    def __post_init__(self) -> None:
        check_name(self.file, "file", "Name the file, such as weights.safetensors.")
        suffix = os.path.splitext(self.file)[1].lower()
        if suffix in PICKLES:
            raise CardError(
                "file",
                f"{shown(self.file)} may hold pickled code, which runs when it is read. "
                "Save the weights as safetensors (.safetensors) instead.",
            )
        if suffix != ".safetensors":
            raise CardError(
                "file", f"{shown(self.file)} is not a .safetensors file. Save the weights as one."
            )
        if self.file != os.path.basename(self.file.replace("\\", "/")):
            raise CardError(
                "file", f"{shown(self.file)} is a path. Keep the file beside card.json and give its name."
            )
        if not isinstance(self.sha256, str) or not re.fullmatch(r"([0-9a-f]{64})?", self.sha256):
            raise CardError(
                "sha256",
                f"{shown(self.sha256)} is not a checksum. Give 64 lower-case hexadecimal digits (sha256sum).",
            )


@dataclass(frozen=True)
class Channel:
    """One input of the network.

    Parameters
    ----------
    name : str
        Canonical name, such as ``hh`` or ``btemp_6_9h``.
    sensor : str
        ``sar``, ``mwr``, ``weather``, …: what relevance and scores are summed over.
    grid : {'fine', 'coarse'}
        Whether the network takes it on its pixels or on cells of `ratio` x `ratio` pixels.
    unit : str
        Of the raster's values, which `mean` and `sd` share.
    mean, sd : float
        The network sees (value − mean)/sd.
    fill : float
        What stands for a missing value, in standardised units: 0 is the mean.
    aliases : tuple of str
        Other names a band may carry.
    ratio : int, optional
        Pixels along one side of a cell; for coarse channels only.
    frequency_ghz : float, optional
        Of a radiometer channel.
    polarisation : str
        ``h``, ``v``, ``hh``, …; empty where there is none.
    footprint_km : tuple of float, optional
        Extent of one measurement on the ground, the two axes, in km.
    """

    name: str
    sensor: str
    grid: str
    unit: str
    mean: float
    sd: float
    fill: float = 0.0
    aliases: tuple[str, ...] = ()
    ratio: int | None = None
    frequency_ghz: float | None = None
    polarisation: str = ""
    footprint_km: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "name", "Name the channel, such as hh.")
        check_name(self.sensor, "sensor", "Name the sensor, such as sar or mwr.")
        check_word(self.grid, GRIDS, "grid")
        check_name(
            self.unit,
            "unit",
            "Give the unit of the raster's values, such as dB or K (1 where there is none).",
        )
        keep_number(self, "mean", least=-LARGEST, most=LARGEST, remedy="Give the mean of the training data.")
        keep_number(
            self,
            "sd",
            above=0,
            least=SMALLEST,
            most=LARGEST,
            remedy="Give the standard deviation the network was trained with.",
        )
        if abs(self.mean) > MOST_DEVIATIONS * self.sd:
            raise CardError(
                "sd",
                f"{self.sd:g} is too small beside the mean {self.mean:g}: 32-bit numbers cannot tell values apart. "
                "Give the standard deviation the network was trained with.",
            )
        keep_number(
            self,
            "fill",
            least=-MOST_FILL,
            most=MOST_FILL,
            remedy="It is in standard deviations: 0 is the mean.",
        )
        keep_texts(self, "aliases")
        if self.grid == "coarse":
            check_integer(
                self.ratio, "ratio", 1, "Give the pixels along one side of a coarse cell.", most=MOST_PIXELS
            )
        elif self.ratio is not None:
            raise CardError("ratio", "only a coarse channel has one. Remove it, or set the grid to coarse.")
        if self.frequency_ghz is not None:
            keep_number(self, "frequency_ghz", above=0, most=1e6, remedy="Give GHz, or leave it out.")
        check_name(self.polarisation, "polarisation")
        if self.footprint_km is not None:
            keep_numbers(self, "footprint_km", 2)
            if min(self.footprint_km) <= 0 or max(self.footprint_km) > 40_000:
                raise CardError(
                    "footprint_km",
                    f"{list(self.footprint_km)} are not two lengths in km above 0 on the Earth.",
                )

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases as they are compared, the name first."""
        return tuple(dict.fromkeys(normalised(name) for name in (self.name, *self.aliases)))

    def matches(self, description: str) -> bool:
        """Return whether a band called `description` is this channel."""
        return normalised(description) in self.names


@dataclass(frozen=True)
class HeadClass:
    """One class of a head.

    Parameters
    ----------
    name : str
        As people call it.
    value : int
        Its code in class and label rasters, 0 to 254.
    colour : str
        ``#rrggbb``.
    percent : float, optional
        Ice concentration it stands for, where it has one.
    """

    name: str
    value: int
    colour: str
    percent: float | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "name", "Name the class.")
        if self.name.lower() in RESERVED_CLASS_NAMES:
            raise CardError("name", f"'{self.name}' means the class the network predicts. Use another name.")
        check_integer(self.value, "value", 0, f"Give its code in class rasters, below {CLASS_LAND}.")
        if self.value >= CLASS_LAND:
            raise CardError(
                "value",
                f"{self.value} is not below {CLASS_LAND}, which stands for land ({CLASS_NODATA} for no data).",
            )
        if not isinstance(self.colour, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise CardError("colour", f"{shown(self.colour)} is not a colour. Write it as #rrggbb.")
        if self.percent is not None:
            keep_number(self, "percent")
            if not 0 <= self.percent <= 100:
                raise CardError("percent", f"{self.percent} is not between 0 and 100.")

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as red, green and blue, 0 to 255."""
        return int(self.colour[1:3], 16), int(self.colour[3:5], 16), int(self.colour[5:7], 16)


@dataclass(frozen=True)
class Head:
    """One answer of the network.

    Parameters
    ----------
    name : str
        Such as ``concentration``.
    kind : {'sigmoid', 'softmax', 'linear'}
        What turns its logits into the answer.
    classes : tuple of HeadClass
        One for sigmoid and linear, at least two for softmax.
    unit : str
        Of the map; ``%`` makes a sigmoid a percentage.
    """

    name: str
    kind: str
    classes: tuple[HeadClass, ...]
    unit: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, "name", "Name the head, such as concentration.")
        check_word(self.kind, KINDS, "kind")
        check_name(self.unit, "unit")
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.kind == "softmax" and len(self.classes) < 2:
            raise CardError("classes", f"a softmax needs at least two classes, not {len(self.classes)}.")
        if self.kind != "softmax" and len(self.classes) != 1:
            raise CardError(
                "classes",
                f"a {self.kind} head has one class, what its logit speaks for, not {len(self.classes)}.",
            )
        check_unique([c.name.lower() for c in self.classes], "classes", "name")
        check_unique([c.value for c in self.classes], "classes", "value")

    @property
    def outputs(self) -> int:
        """Number of logits."""
        return len(self.classes)


@dataclass(frozen=True)
class Component:
    """One input of the network's last 1 x 1 convolution.

    Parameters
    ----------
    name : str
        Such as ``d2_01`` or the channel's name.
    sensor, scale : str
        What its scores are grouped by: ``sar`` and ``skip``, ``d2``, …
    channel : str
        The channel it *is*; empty where it mixes several.
    frequency_ghz : float, optional
        Of that channel.
    polarisation : str
        Of that channel.
    """

    name: str
    sensor: str
    scale: str = ""
    channel: str = ""
    frequency_ghz: float | None = None
    polarisation: str = ""

    def __post_init__(self) -> None:
        check_name(self.name, "name", "Name the component.")
        check_name(self.sensor, "sensor", "Name the sensor it comes from, such as sar or mwr.")
        for name in ("scale", "channel", "polarisation"):
            check_name(getattr(self, name), name)
        if self.frequency_ghz is not None:
            keep_number(self, "frequency_ghz", above=0, most=1e6, remedy="Give GHz, or leave it out.")
