"""The model card: everything FloeLens has to know of a network, in one validated JSON file.

A card is a value::

    card = ModelCard.from_json("models/aspp-concentration-sim/card.json")
    card.fine_channels, card.coarse_channels      # in the order of the network's inputs
    card.head("concentration").classes
    card.head_slice("concentration")              # where its logits lie among the outputs

Every mistake in a card is a :class:`ModelError` that names the file, the field and what to do. A field
that is not known is refused, since a misspelt one would otherwise be silently without effect.
The mappings in a card (details, arguments, skill) are for reading only.
"""

from __future__ import annotations

import copy
import dataclasses
import difflib
import json
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..ground.errors import ModelError
from .files import listed, read_json, short_path, shown, shown_text

FORMAT = "floelens-model"
FORMAT_VERSION = 1
CLASS_NODATA = 255
CLASS_LAND = 254
PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".joblib", ".npy", ".npz")
GRIDS = ("fine", "coarse")
KINDS = ("sigmoid", "softmax", "linear")
# What no network has more of, and beyond which 32-bit numbers or a screen do not reach.
_MOST_NAME = 100  # characters
_MOST_TEXT = 20_000
_MOST_ENTRIES = 2_000
_MOST_OUTPUTS = 1_000
_MOST_PIXELS = 100_000
_LARGEST = 1e9
_SMALLEST = 1e-9
_MOST_DEVIATIONS = 1e7
_MOST_FILL = 1e6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Names of parameters' values that a class cannot have as well.
RESERVED_CLASS_NAMES = ("predicted",)


class CardError(ModelError):
    """A field of a card cannot be used; :meth:`inside` tells where the field stands."""

    def __init__(self, where: str, problem: str) -> None:
        where, problem = shown_text(where, 100), shown_text(problem, 260)
        super().__init__(where, problem)
        self.where = where
        self.problem = problem

    def __str__(self) -> str:
        return f"Model card, field {self.where}: {self.problem}"

    def inside(self, path: str) -> CardError:
        """Return the same error with the field's path begun by `path`."""
        return CardError(f"{path}.{self.where}", self.problem)


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
        _text(self.data, "data")
        _text(self.script, "script")
        _json_mapping(self, "details")


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
        _name(self.name, "name", "Name the architecture, such as aspp_fusion.")
        _json_mapping(self, "arguments")


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
        _name(self.file, "file", "Name the file, such as weights.safetensors.")
        suffix = os.path.splitext(self.file)[1].lower()
        if suffix in PICKLES:
            raise CardError(
                "file",
                f"{shown(self.file)} may hold pickled code, which runs when it is read. "
                "Save the weights as safetensors (.safetensors) instead.",
            )
        if suffix != ".safetensors":
            raise CardError("file", f"{shown(self.file)} is not a .safetensors file. Save the weights as one.")
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
        _name(self.name, "name", "Name the channel, such as hh.")
        _name(self.sensor, "sensor", "Name the sensor, such as sar or mwr.")
        _one_of(self.grid, GRIDS, "grid")
        _name(
            self.unit,
            "unit",
            "Give the unit of the raster's values, such as dB or K (1 where there is none).",
        )
        _number(self, "mean", least=-_LARGEST, most=_LARGEST, remedy="Give the mean of the training data.")
        _number(
            self,
            "sd",
            above=0,
            least=_SMALLEST,
            most=_LARGEST,
            remedy="Give the standard deviation the network was trained with.",
        )
        if abs(self.mean) > _MOST_DEVIATIONS * self.sd:
            raise CardError(
                "sd",
                f"{self.sd:g} is too small beside the mean {self.mean:g}: 32-bit numbers cannot tell values apart. "
                "Give the standard deviation the network was trained with.",
            )
        _number(self, "fill", least=-_MOST_FILL, most=_MOST_FILL, remedy="It is in standard deviations: 0 is the mean.")
        _texts(self, "aliases")
        if self.grid == "coarse":
            _integer(self.ratio, "ratio", 1, "Give the pixels along one side of a coarse cell.", most=_MOST_PIXELS)
        elif self.ratio is not None:
            raise CardError("ratio", "only a coarse channel has one. Remove it, or set the grid to coarse.")
        if self.frequency_ghz is not None:
            _number(self, "frequency_ghz", above=0, most=1e6, remedy="Give GHz, or leave it out.")
        _name(self.polarisation, "polarisation")
        if self.footprint_km is not None:
            _numbers(self, "footprint_km", 2)
            if min(self.footprint_km) <= 0 or max(self.footprint_km) > 40_000:
                raise CardError(
                    "footprint_km", f"{list(self.footprint_km)} are not two lengths in km above 0 on the Earth."
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
        _name(self.name, "name", "Name the class.")
        if self.name.lower() in RESERVED_CLASS_NAMES:
            raise CardError("name", f"'{self.name}' means the class the network predicts. Use another name.")
        _integer(self.value, "value", 0, f"Give its code in class rasters, below {CLASS_LAND}.")
        if self.value >= CLASS_LAND:
            raise CardError(
                "value",
                f"{self.value} is not below {CLASS_LAND}, which stands for land ({CLASS_NODATA} for no data).",
            )
        if not isinstance(self.colour, str) or not re.fullmatch(r"#[0-9a-fA-F]{6}", self.colour):
            raise CardError("colour", f"{shown(self.colour)} is not a colour. Write it as #rrggbb.")
        if self.percent is not None:
            _number(self, "percent")
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
        _name(self.name, "name", "Name the head, such as concentration.")
        _one_of(self.kind, KINDS, "kind")
        _name(self.unit, "unit")
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.kind == "softmax" and len(self.classes) < 2:
            raise CardError("classes", f"a softmax needs at least two classes, not {len(self.classes)}.")
        if self.kind != "softmax" and len(self.classes) != 1:
            raise CardError(
                "classes",
                f"a {self.kind} head has one class, what its logit speaks for, not {len(self.classes)}.",
            )
        _unique([c.name.lower() for c in self.classes], "classes", "name")
        _unique([c.value for c in self.classes], "classes", "value")

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
        _name(self.name, "name", "Name the component.")
        _name(self.sensor, "sensor", "Name the sensor it comes from, such as sar or mwr.")
        for name in ("scale", "channel", "polarisation"):
            _name(getattr(self, name), name)
        if self.frequency_ghz is not None:
            _number(self, "frequency_ghz", above=0, most=1e6, remedy="Give GHz, or leave it out.")


@dataclass(frozen=True)
class ModelCard:
    """A network, as FloeLens knows it.

    Parameters
    ----------
    id : str
        Lower-case letters, digits and hyphens; also the name of its folder.
    title, summary, licence : str
        For people; title and licence are needed.
    architecture : Architecture
        Which network.
    channels : tuple of Channel
        Its inputs: the fine ones among them in order, then the coarse ones in order.
    heads : tuple of Head
        Its answers; their logits follow one another in the output.
    components : tuple of Component
        Inputs of its last 1 x 1 convolution, in order.
    pixel_size_m : float
        Ground size of the pixels it was trained on, in metres.
    receptive_field_radius : int
        Fine pixels around an output pixel that it reads.
    alignment : int
        Tiles must begin at multiples of so many pixels.
    weights : Weights
        File and checksum.
    citation, limits : tuple of str
        What to cite; what it must not be used for.
    demonstration : bool
        Whether it was made to show FloeLens, not to map ice.
    training : Training
        Where it comes from.
    skill : mapping
        Measured skill: JSON values.
    """

    id: str
    title: str
    licence: str
    architecture: Architecture
    channels: tuple[Channel, ...]
    heads: tuple[Head, ...]
    components: tuple[Component, ...]
    pixel_size_m: float
    receptive_field_radius: int
    alignment: int
    weights: Weights = field(default_factory=Weights)
    summary: str = ""
    citation: tuple[str, ...] = ()
    demonstration: bool = False
    training: Training = field(default_factory=Training)
    skill: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not re.fullmatch(r"[a-z][a-z0-9-]{1,98}[a-z0-9]", self.id):
            raise CardError(
                "id",
                f"{shown(self.id)} is no id. Use lower-case letters, digits and hyphens, 3 to 100 of them (my-model).",
            )
        _text(self.title, "title", "Give the model a title.")
        _text(self.licence, "licence", "Name the licence of the weights.")
        _text(self.summary, "summary")
        _texts(self, "citation")
        _texts(self, "limits")
        if not isinstance(self.demonstration, bool):
            raise CardError("demonstration", f"{shown(self.demonstration)} is neither true nor false.")
        _json_mapping(self, "skill")
        _number(
            self,
            "pixel_size_m",
            above=0,
            least=0.001,
            most=1e6,
            remedy="Give the size of the pixels it was trained on, in metres.",
        )
        for name in ("channels", "heads", "components"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if name != "components" and not getattr(self, name):
                raise CardError(name, "the list is empty. A network has at least one.")
            _few(getattr(self, name), name)
        if self.outputs > _MOST_OUTPUTS:
            raise CardError("heads", f"they have {self.outputs} classes together; at most {_MOST_OUTPUTS} are read.")
        self._check_channels()
        _unique([head.name.lower() for head in self.heads], "heads", "name")
        _unique([component.name.lower() for component in self.components], "components", "name")
        known = {channel.name for channel in self.channels}
        for position, component in enumerate(self.components):
            if component.channel and component.channel not in known:
                raise CardError(
                    f"components[{position}].channel",
                    f"no channel {shown(component.channel)}. Use one of {listed(sorted(known))}, or leave it out.",
                )
        _integer(
            self.receptive_field_radius,
            "receptive_field_radius",
            0,
            "Give the measured radius in pixels.",
            most=_MOST_PIXELS,
        )
        _integer(self.alignment, "alignment", 1, "Give the measured alignment in pixels.", most=_MOST_PIXELS)
        if self.alignment % self.ratio:
            raise CardError(
                "alignment",
                f"{self.alignment} is not a multiple of the coarse ratio {self.ratio}. Tiles hold whole cells.",
            )

    def _check_channels(self) -> None:
        _unique([channel.name.lower() for channel in self.channels], "channels", "name")
        owners: dict[str, str] = {}
        for position, channel in enumerate(self.channels):
            for name in channel.names:
                owner = owners.setdefault(name, channel.name)
                if owner != channel.name:
                    raise CardError(
                        f"channels[{position}].aliases",
                        f"a band called '{name}' would be '{owner}' as well as '{channel.name}'. Remove one alias.",
                    )
        if not self.fine_channels:
            raise CardError("channels", "none is fine. The map is made on the grid of the fine channels.")
        ratios = sorted({channel.ratio for channel in self.coarse_channels})
        if len(ratios) > 1:
            raise CardError("channels", f"the coarse channels have several ratios ([{listed(ratios)}]). Give them one.")

    @property
    def fine_channels(self) -> tuple[Channel, ...]:
        """The channels at full resolution, in the network's order."""
        return tuple(channel for channel in self.channels if channel.grid == "fine")

    @property
    def coarse_channels(self) -> tuple[Channel, ...]:
        """The channels on coarse cells, in the network's order."""
        return tuple(channel for channel in self.channels if channel.grid == "coarse")

    @property
    def ratio(self) -> int:
        """Fine pixels along one side of a coarse cell; 1 where no channel is coarse."""
        return next((channel.ratio for channel in self.coarse_channels), 1)

    @property
    def outputs(self) -> int:
        """Number of logits of all heads."""
        return sum(head.outputs for head in self.heads)

    def channel(self, name: str) -> Channel:
        """Return the channel called `name` (or by one of its aliases).

        Raises
        ------
        ModelError
            If there is none.
        """
        for channel in self.channels:
            if channel.matches(name):
                return channel
        names = listed(channel.name for channel in self.channels)
        raise ModelError(f"The model '{self.id}' has no channel {shown(name)}. Its channels are {names}.")

    def head(self, name: str = "") -> Head:
        """Return the head called `name`, the first one where it is empty.

        Raises
        ------
        ModelError
            If there is none of that name.
        """
        if not name:
            return self.heads[0]
        for head in self.heads:
            if head.name.lower() == name.lower():
                return head
        names = listed(head.name for head in self.heads)
        raise ModelError(f"The model '{self.id}' has no head {shown(name)}. Its heads are {names}.")

    def head_slice(self, name: str = "") -> slice:
        """Return where the logits of a head lie among the network's outputs."""
        wanted = self.head(name)
        first = 0
        for head in self.heads:
            if head is wanted:
                break
            first += head.outputs
        return slice(first, first + wanted.outputs)

    def with_weights(self, weights: Weights) -> ModelCard:
        """Return the card with other weights."""
        return dataclasses.replace(self, weights=weights)

    @classmethod
    def from_json(cls, source: str | os.PathLike | Mapping[str, Any]) -> ModelCard:
        """Return the card in a file, or in a mapping read from one.

        Parameters
        ----------
        source : path or mapping
            A ``card.json``, the folder that holds it, or its content.

        Raises
        ------
        ModelError
            If the file is missing or is no JSON, or a field is missing, unknown or unusable.
        """
        if isinstance(source, Mapping):
            return _read_card(source, "model card")
        path = Path(source)
        path = path / "card.json" if os.path.isdir(path) else path
        try:
            content = read_json(path)
        except FileNotFoundError:
            raise ModelError(
                f"There is no model card {short_path(path)}. Give the folder of a model package."
            ) from None
        if not isinstance(content, Mapping):
            raise ModelError(
                f"The model card {short_path(path)} is no JSON object. Give the card.json of a model package."
            )
        return _read_card(content, short_path(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON values; what :meth:`from_json` reads."""
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **_to_values(self)}

    def to_json(self) -> str:
        """Return the text of its ``card.json``; the same card gives the same text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_stac_mlm(self) -> dict[str, Any]:
        """Return the STAC item properties of the Machine Learning Model extension.

        Inputs with bands and scaling, and outputs with classes, in the form of version 1.3 of the
        extension (https://stac-extensions.github.io/mlm/v1.3.0/schema.json).
        """
        inputs: list[dict[str, Any]] = []
        for name, channels in (("fine", self.fine_channels), ("coarse", self.coarse_channels)):
            if not channels:
                continue
            inputs.append(
                {
                    "name": name,
                    "bands": [channel.name for channel in channels],
                    "input": _tensor(len(channels), "bands"),
                    "description": "pixels of the SAR image"
                    if name == "fine"
                    else f"cells of {self.ratio} x {self.ratio} fine pixels",
                    "value_scaling": [{"type": "z-score", "mean": c.mean, "stddev": c.sd} for c in channels],
                    "resize_type": None,
                }
            )
        outputs: list[dict[str, Any]] = []
        for head in self.heads:
            task = "semantic-segmentation" if head.kind == "softmax" else "regression"
            entry: dict[str, Any] = {
                "name": head.name,
                "tasks": [task],
                "result": _tensor(head.outputs, "class"),
            }
            if head.kind == "softmax":
                entry["classification:classes"] = [_stac_class(c) for c in head.classes]
            outputs.append(entry)
        properties: dict[str, Any] = {
            "mlm:name": self.id,
            "mlm:architecture": self.architecture.name,
            "mlm:framework": "PyTorch",
            "mlm:tasks": sorted({task for entry in outputs for task in entry["tasks"]}),
            "mlm:input": inputs,
            "mlm:output": outputs,
        }
        hyperparameters = {
            k: v for k, v in self.architecture.arguments.items() if re.fullmatch(r"[0-9a-zA-Z_.-]+", k)
        }
        if hyperparameters:
            properties["mlm:hyperparameters"] = copy.deepcopy(hyperparameters)
        return properties


def _tensor(channels: int, axis: str) -> dict[str, Any]:
    return {
        "shape": [-1, channels, -1, -1],
        "dim_order": ["batch", axis, "height", "width"],
        "data_type": "float32",
    }


def _stac_class(head_class: HeadClass) -> dict[str, Any]:
    return {
        "value": head_class.value,
        "name": re.sub(r"[^0-9A-Za-z-]+", "_", head_class.name),
        "description": head_class.name,
        "color_hint": head_class.colour[1:].upper(),
    }


# --- checks of single fields -------------------------------------------------------------------


def _text(value: Any, where: str, remedy: str = "", most: int = _MOST_TEXT) -> None:
    """Check a text; with a remedy it must not be blank."""
    if not isinstance(value, str):
        raise CardError(where, f"{shown(value)} is not a text. {remedy}".rstrip())
    if remedy and not value.strip():
        raise CardError(where, f"it is empty. {remedy}")
    if len(value) > most:
        raise CardError(where, f"it has {len(value)} characters; at most {most} are read. Shorten it.")
    if "\0" in value or (most == _MOST_NAME and _CONTROL.search(value)):
        raise CardError(where, f"{shown(value)} holds control characters. Remove them.")


def _name(value: Any, where: str, remedy: str = "") -> None:
    """Check a text of one line."""
    _text(value, where, remedy, _MOST_NAME)


def _few(values: Sequence[Any], where: str) -> None:
    if len(values) > _MOST_ENTRIES:
        raise CardError(where, f"the list has {len(values)} entries; at most {_MOST_ENTRIES} are read.")


def _texts(owner: object, name: str) -> None:
    values = getattr(owner, name)
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise CardError(name, f"{shown(values)} is not a list of texts.")
    _few(values, name)
    for position, value in enumerate(values):
        _text(value, f"{name}[{position}]", "Remove it or fill it in.")
    object.__setattr__(owner, name, tuple(values))


def _is_number(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _number(
    owner: object,
    name: str,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
    remedy: str = "",
) -> None:
    value = getattr(owner, name)
    if not _is_number(value):
        raise CardError(name, f"{shown(value)} is not a finite number. {remedy}".rstrip())
    if value <= above:
        raise CardError(name, f"{value} is not above {above:g}. {remedy}".rstrip())
    if not least <= value <= most:
        raise CardError(name, f"{value:g} is not between {least:g} and {most:g}. {remedy}".rstrip())
    object.__setattr__(owner, name, float(value))


def _numbers(owner: object, name: str, count: int) -> None:
    values = getattr(owner, name)
    fits = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == count
    if not fits or not all(_is_number(value) for value in values):
        raise CardError(name, f"{shown(values)} is not a list of {count} numbers.")
    object.__setattr__(owner, name, tuple(float(value) for value in values))


def _integer(value: Any, where: str, least: int, remedy: str, most: int | None = None) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise CardError(where, f"{shown(value)} is not a whole number of at least {least}. {remedy}")
    if most is not None and value > most:
        raise CardError(where, f"{shown(value)} is more than {most}. {remedy}")


def _one_of(value: Any, known: Sequence[str], where: str) -> None:
    if not isinstance(value, str) or value not in known:
        raise CardError(where, f"{shown(value)} is not one of {', '.join(known)}.")


def _unique(values: Sequence[Any], where: str, what: str) -> None:
    seen: dict[Any, int] = {}
    for position, value in enumerate(values):
        if value in seen:
            raise CardError(
                f"{where}[{position}].{what}",
                f"{shown(value)} is taken by {where}[{seen[value]}] already. Give each its own {what}.",
            )
        seen[value] = position


def _json_mapping(owner: object, name: str) -> None:
    """Check that a mapping holds JSON values, and keep a copy of it."""
    values = getattr(owner, name)
    if not isinstance(values, Mapping):
        raise CardError(name, f"{shown(values)} is not an object with named entries.")
    try:
        kept = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise CardError(
            name, f"it holds what JSON cannot: {shown_text(error, 100)}. Use texts, finite numbers and lists."
        ) from None
    object.__setattr__(owner, name, kept)


# --- JSON --------------------------------------------------------------------------------------


def _to_values(value: Any) -> Any:
    """Return a dataclass as JSON values, leaving out optional fields that are None or empty texts."""
    if dataclasses.is_dataclass(value):
        entries = {}
        for entry in dataclasses.fields(value):
            content = getattr(value, entry.name)
            optional = entry.default is None or entry.default == ""
            if optional and content in (None, "") and not isinstance(value, (ModelCard, Training, Weights)):
                continue
            entries[entry.name] = _to_values(content)
        return entries
    if isinstance(value, tuple):
        return [_to_values(part) for part in value]
    return copy.deepcopy(value)


def _read_card(content: Mapping[str, Any], source: str) -> ModelCard:
    try:
        return _read_fields(content)
    except CardError as error:
        raise ModelError(f"{source}, field {error.where}: {error.problem}") from None


def _read_fields(content: Mapping[str, Any]) -> ModelCard:
    remaining = dict(content)
    if remaining.pop("format", None) != FORMAT:
        raise CardError("format", f"it is not '{FORMAT}'. Give the card.json of a FloeLens model package.")
    version = remaining.pop("format_version", None)
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise CardError(
            "format_version",
            f"{shown(version)} is not known, only {FORMAT_VERSION}. Update FloeLens, or the card.",
        )
    parts: dict[str, Callable[[Any, str], Any]] = {
        "architecture": lambda value, where: _build(Architecture, value, where),
        "weights": lambda value, where: _build(Weights, value, where),
        "training": lambda value, where: _build(Training, value, where),
        "channels": lambda value, where: _build_list(Channel, value, where),
        "components": lambda value, where: _build_list(Component, value, where),
        "heads": lambda value, where: _build_list(Head, value, where),
    }
    for name, build in parts.items():
        if name in remaining:
            remaining[name] = build(remaining[name], name)
    return _build(ModelCard, remaining, "")


def _build_list(kind: type, values: Any, where: str) -> tuple:
    if isinstance(values, (str, Mapping)) or not isinstance(values, Sequence):
        raise CardError(where, f"{shown(values)} is not a list.")
    _few(values, where)
    return tuple(_build(kind, value, f"{where}[{position}]") for position, value in enumerate(values))


def _build(kind: type, values: Any, where: str) -> Any:
    """Return a dataclass made of JSON values; `where` is its path in the card."""
    if not isinstance(values, Mapping):
        raise CardError(where, f"{shown(values)} is not an object with named entries.")
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    prefix = f"{where}." if where else ""
    for name in values:
        if name not in fields:
            close = difflib.get_close_matches(name[:50], fields, 1)
            remedy = f"Did you mean '{close[0]}'?" if close else "Remove it."
            raise CardError(f"{prefix}{shown_text(name, 60)}", f"no such field is known. {remedy}")
    for name, entry in fields.items():
        no_default = entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
        if no_default and name not in values:
            raise CardError(f"{prefix}{name}", "the field is missing. Add it.")
    arguments = dict(values)
    if kind is Head:
        arguments["classes"] = _build_list(HeadClass, arguments["classes"], f"{prefix}classes")
    try:
        return kind(**arguments)
    except CardError as error:
        raise (error.inside(where) if where else error) from None
