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

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..ground.digests import with_escaped_digests
from ..ground.errors import ModelError
from ..ground.vocabulary.words import NOISE_CORRECTIONS
from .card_benchmarks import BenchmarkedMethod, BenchmarkResult  # noqa: F401  (parts of a card, too)
from .card_checks import (
    MOST_OUTPUTS,
    MOST_PIXELS,
    WHOLE_IMAGE,
    CardError,
    check_count,
    check_integer,
    check_text,
    check_unique,
    check_word,
    keep_json,
    keep_number,
    keep_texts,
)
from .card_json import FORMAT, FORMAT_VERSION, LEFT_OUT_IF_EMPTY, read_card, to_values
from .card_parts import (  # noqa: F401  (one place to import a card and its parts from)
    CLASS_LAND,
    CLASS_NODATA,
    GRIDS,
    KINDS,
    PICKLES,
    RESERVED_CLASS_NAMES,
    Architecture,
    Channel,
    Component,
    Head,
    HeadClass,
    ImageWindow,
    Training,
    Weights,
    normalised,
)
from .files import listed, read_json, short_path, shown


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
        Fine pixels around an output pixel that it reads; :data:`WHOLE_IMAGE` for one whose output depends on all of the
        image, so that a scene is run at once.
    alignment : int
        Tiles must begin at multiples of so many pixels.
    weights : Weights
        File and checksum.
    window : ImageWindow or None
        Of a network whose output depends on the whole image: the windows in which scenes are run. None: at once.
    citation, limits : tuple of str
        What to cite; what it must not be used for.
    demonstration : bool
        Whether it was made to show FloeLens, not to map ice.
    training : Training
        Where it comes from.
    skill : mapping
        Measured skill: JSON values.
    noise_correction : {'', 'esa', 'nersc'}
        How the thermal noise of its SAR was corrected; empty where the card does not say.
    multilook : int
        Sentinel-1 pixels averaged along each side of its pixels; 0 where the card does not say.
    benchmarks : tuple of BenchmarkResult
        What benchmarks with known truth say of the relevance methods on this kind of network. Older cards have none.
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
    noise_correction: str = field(default="", metadata=LEFT_OUT_IF_EMPTY)
    multilook: int = field(default=0, metadata=LEFT_OUT_IF_EMPTY)
    benchmarks: tuple[BenchmarkResult, ...] = field(default=(), metadata=LEFT_OUT_IF_EMPTY)
    window: ImageWindow | None = field(default=None, metadata=LEFT_OUT_IF_EMPTY)

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not re.fullmatch(r"[a-z][a-z0-9-]{1,98}[a-z0-9]", self.id):
            raise CardError(
                "id",
                f"{shown(self.id)} is no id. Use lower-case letters, digits and hyphens, 3 to 100 of them (my-model).",
            )
        check_text(self.title, "title", "Give the model a title.")
        check_text(self.licence, "licence", "Name the licence of the weights.")
        check_text(self.summary, "summary")
        keep_texts(self, "citation")
        keep_texts(self, "limits")
        if not isinstance(self.demonstration, bool):
            raise CardError("demonstration", f"{shown(self.demonstration)} is neither true nor false.")
        keep_json(self, "skill")
        keep_number(
            self,
            "pixel_size_m",
            above=0,
            least=0.001,
            most=1e6,
            remedy="Give the size of the pixels it was trained on, in metres.",
        )
        check_word(self.noise_correction, ("", *NOISE_CORRECTIONS), "noise_correction")
        check_integer(
            self.multilook, "multilook", 0, "Give the pixels averaged, 0 where unknown.", MOST_PIXELS
        )
        for name in ("channels", "heads", "components", "benchmarks"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if name in ("channels", "heads") and not getattr(self, name):
                raise CardError(name, "the list is empty. A network has at least one.")
            check_count(getattr(self, name), name)
        if self.outputs > MOST_OUTPUTS:
            raise CardError(
                "heads", f"they have {self.outputs} classes together; at most {MOST_OUTPUTS} are read."
            )
        self._check_channels()
        check_unique([head.name.lower() for head in self.heads], "heads", "name")
        check_unique([component.name.lower() for component in self.components], "components", "name")
        check_unique(
            [(each.benchmark, each.condition) for each in self.benchmarks], "benchmarks", "condition"
        )
        known = {channel.name for channel in self.channels}
        for position, component in enumerate(self.components):
            if component.channel and component.channel not in known:
                raise CardError(
                    f"components[{position}].channel",
                    f"no channel {shown(component.channel)}. Use one of {listed(sorted(known))}, or leave it out.",
                )
        check_integer(
            self.receptive_field_radius,
            "receptive_field_radius",
            0,
            "Give the measured radius in pixels.",
            most=MOST_PIXELS,
        )
        check_integer(
            self.alignment, "alignment", 1, "Give the measured alignment in pixels.", most=MOST_PIXELS
        )
        if self.alignment % self.ratio:
            raise CardError(
                "alignment",
                f"{self.alignment} is not a multiple of the coarse ratio {self.ratio}. Tiles hold whole cells.",
            )

        self._check_window()

    def _check_window(self) -> None:
        if self.window is None:
            return
        if not self.whole_image:
            raise CardError(
                "window",
                f"an output depends on {self.receptive_field_radius} pixels around it, so that tiles are exact without "
                "windows. Remove it.",
            )
        if self.window.size - self.window.overlap < self.alignment:
            raise CardError(
                "window",
                f"windows begin on multiples of {self.alignment} pixels (alignment): size - overlap must be at least "
                "that.",
            )

    def _check_channels(self) -> None:
        check_unique([channel.name.lower() for channel in self.channels], "channels", "name")
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
        ratios = sorted({channel.ratio for channel in self.coarse_channels if channel.ratio is not None})
        if len(ratios) > 1:
            raise CardError(
                "channels", f"the coarse channels have several ratios ([{listed(ratios)}]). Give them one."
            )

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
        return next((channel.ratio for channel in self.coarse_channels if channel.ratio is not None), 1)

    @property
    def whole_image(self) -> bool:
        """Whether an output depends on the whole image, so that a scene cannot be cut into tiles."""
        return self.receptive_field_radius >= WHOLE_IMAGE

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

    def with_benchmarks(self, results: Iterable[BenchmarkResult]) -> ModelCard:
        """Return the card with results of benchmarks, which replace older ones of the same benchmark and condition."""
        kept = {(each.benchmark, each.condition): each for each in (*self.benchmarks, *results)}
        return dataclasses.replace(self, benchmarks=tuple(kept.values()))

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
            return read_card(cls, source, "model card")
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
        return read_card(cls, content, short_path(path))

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON values; what :meth:`from_json` reads."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            **to_values(self, (ModelCard, Training, Weights)),
        }

    def to_json(self) -> str:
        """Return the text of its ``card.json``; the same card gives the same text."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        return with_escaped_digests(text) + "\n"
