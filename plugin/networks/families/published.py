"""What is published of each family: channels in order, statistics, heads and their classes, and how its code runs it.

Sources: the AutoICE starter kit (Stokholm et al. 2024, doi 10.5194/tc-18-3471-2024), MMSeaIce (Chen et al. 2024, doi
10.5194/tc-18-1621-2024), the binary network of UiT The Arctic University of Norway, and the ASIP networks
(Malmgren-Hansen et al. 2021, doi 10.1109/TGRS.2020.3004539).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..aspp.card import CITATION as ASIP_CITATION
from ..card import Channel, Head, HeadClass
from ..graph.nersc import CLASSES as NERSC_CLASSES
from ..standard_channels import MWR_CHANNELS, SAR_CHANNELS, WEATHER_CHANNELS, standard_channels
from .unet import SKIP_FIRST, UPSAMPLED_FIRST, Choices

CELL_M = 2000.0  # of the AI4Arctic data's coarse grid
_FINE = (*SAR_CHANNELS, "incidence_angle", "distance_map")
AUTOICE_CHANNELS = (*_FINE, *MWR_CHANNELS, *WEATHER_CHANNELS)
MMSEAICE_CHANNELS = (
    *_FINE,
    *(f"btemp_{name}" for name in ("18_7h", "18_7v", "36_5h", "36_5v")),
    "u10m_rotated", "v10m_rotated", "t2m", "tcwv", "tclw", "month", "latitude", "longitude",
)  # fmt: skip
# From -1 in January to 1 in December.
_MONTH = Channel("month", "time", "fine", "1", 6.5, 5.5)
UIT_CHANNELS = ("hh", "hv", "incidence_angle")
_UIT_STATISTICS = {"hh": (-15.61, 6.15), "hv": (-26.31, 2.54), "incidence_angle": (35.85, 7.06)}

_CITE_AUTOICE = (
    "Stokholm et al. (2024): The AutoICE Challenge. The Cryosphere 18, 3471-3494. doi:10.5194/tc-18-3471-2024"
)
_CITE_MMSEAICE = (
    "Chen et al. (2024): MMSeaIce: a collection of techniques for improving sea ice mapping with a multi-task model. "
    "The Cryosphere 18, 1621-1632. doi:10.5194/tc-18-1621-2024"
)
_NERSC = "Its SAR is expected with NERSC's noise correction, as in the AI4Arctic challenge data."

# Total concentration in the colours of the WMO.
_CONCENTRATION_COLOURS = (
    "#0064ff",
    *("#8cffa0",) * 3,
    *("#ffff00",) * 3,
    *("#ff7d07",) * 2,
    *("#ff0000",) * 2,
)
_CONCENTRATION = tuple(
    HeadClass(f"{10 * tenths} %", 10 * tenths, colour, 10.0 * tenths)
    for tenths, colour in enumerate(_CONCENTRATION_COLOURS)
)
_DEVELOPMENT = tuple(
    HeadClass(name, value, colour)
    for value, (name, colour) in enumerate(
        (
            ("open water", "#0064ff"),
            ("new ice", "#f0d2fa"),
            ("young ice", "#aa28f0"),
            ("thin first-year ice", "#9bd200"),
            ("thick first-year ice", "#007800"),
            ("old ice", "#b46432"),
        )
    )
)
_FLOES = tuple(
    HeadClass(name, value, colour)
    for value, (name, colour) in enumerate(
        (
            ("open water", "#0064ff"),
            ("cake ice", "#ffffb2"),
            ("small floe", "#fecc5c"),
            ("medium floe", "#fd8d3c"),
            ("big floe", "#f03b20"),
            ("vast floe", "#bd0026"),
            ("bergs", "#5e2d79"),
        )
    )
)
ICE = (HeadClass("ice", 1, "#ff0000", 100.0),)
CONCENTRATION_CLASSES = Head("concentration", "softmax", _CONCENTRATION)
CONCENTRATION_VALUE = Head("concentration", "linear", ICE, "%")
CONCENTRATION_SHARE = Head("concentration", "linear", ICE, "1")
DEVELOPMENT = Head("stage of development", "softmax", _DEVELOPMENT)
FLOES = Head("floe size", "softmax", _FLOES)
BINARY = Head("ice", "sigmoid", ICE, "%")
ICE_OR_WATER = Head(
    "ice or water", "softmax", (HeadClass("water", 0, "#0064ff", 0.0), HeadClass("ice", 1, "#ff0000", 100.0))
)
NERSC_TYPES = Head(
    "ice type",
    "softmax",
    tuple(
        HeadClass(name, value, colour)
        for value, (name, colour) in enumerate(
            zip(NERSC_CLASSES, ("#0064ff", "#aa28f0", "#ffff00", "#c80000"))
        )
    ),
)
# Names of heads in the files of the starter kit → what they may be, by their number of outputs.
_CHALLENGE_HEADS = {
    "sic": (CONCENTRATION_CLASSES, CONCENTRATION_VALUE),
    "sod": (DEVELOPMENT,),
    "floe": (FLOES,),
}
# The linear head is trained on classes of tenths.
TENTHS_TO_PERCENT = 10.0


@dataclass(frozen=True)
class Family:
    """What is published of a family.

    Parameters
    ----------
    title : str
        Of a model whose title is not given.
    channels : tuple of str
        Inputs in order; empty where they differ from network to network.
    statistics : mapping of str to tuple
        Mean and standard deviation of channels that do not have the global ones.
    heads : mapping of str to tuple of Head
        By the name of a head in the file, what it may be; the one with its number of outputs is taken.
    choices : Choices, optional
        How its code joins, pads and upsamples; None where this must be given.
    pixel_size_m : float
        Of its training data; 0 where it is not published.
    noise_correction : str
        Of the SAR it was trained on, as the card has it; empty where it is not published.
    multilook : int
        Sentinel-1 pixels averaged along each side; 0 where it is not published.
    masked : bool
        Whether the last output of a softmax stands for masked pixels.
    citation, limits : tuple of str
        For the card.
    """

    title: str
    channels: tuple[str, ...] = ()
    statistics: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    heads: Mapping[str, tuple[Head, ...]] = field(default_factory=dict)
    choices: Choices | None = None
    pixel_size_m: float = 0.0
    noise_correction: str = ""
    multilook: int = 0
    masked: bool = False
    citation: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()


FAMILIES = {
    "autoice": Family(
        title="U-Net of the AutoICE starter kit",
        channels=AUTOICE_CHANNELS,
        heads=_CHALLENGE_HEADS,
        choices=Choices(UPSAMPLED_FIRST),
        pixel_size_m=80.0,
        noise_correction="nersc",
        multilook=2,
        masked=True,
        citation=(_CITE_AUTOICE,),
        limits=(_NERSC,),
    ),
    "mmseaice": Family(
        title="U-Net of MMSeaIce",
        channels=MMSEAICE_CHANNELS,
        heads=_CHALLENGE_HEADS,
        choices=Choices(UPSAMPLED_FIRST),
        pixel_size_m=800.0,
        noise_correction="nersc",
        masked=True,
        citation=(_CITE_MMSEAICE, _CITE_AUTOICE),
        limits=(_NERSC,),
    ),
    "uit": Family(
        title="Binary U-Net of UiT",
        channels=UIT_CHANNELS,
        statistics=_UIT_STATISTICS,
        heads={"output": (BINARY, ICE_OR_WATER)},
        choices=Choices(SKIP_FIRST),
        noise_correction="nersc",
        limits=(_NERSC,),
    ),
    "unet": Family(title="U-Net", heads=_CHALLENGE_HEADS | {"output": (BINARY, ICE_OR_WATER)}),
    "onnx": Family(title="ONNX network"),
    "nersc": Family(
        title="Ice types of NERSC",
        noise_correction="nersc",
        citation=(
            "Boulze, Korosov, Brajard (2020): Classification of Sea Ice Types in Sentinel-1 SAR Data Using "
            "Convolutional Neural Networks. Remote Sensing 12, 2165. doi:10.3390/rs12132165",
        ),
        limits=(_NERSC, "It answers for 20 x 20 pixels at once, from the patch of 50 x 50 around them."),
    ),
    "asip": Family(
        title="ASIP network",
        channels=(*SAR_CHANNELS, *MWR_CHANNELS),
        heads={"output": (Head("concentration", "sigmoid", ICE, "%"),)},
        pixel_size_m=40.0,
        citation=ASIP_CITATION,
    ),
}


def published_channel(name: str, family: Family, ratio: int) -> Channel | None:
    """Return a channel with the statistics of a family; None where none are published.

    Parameters
    ----------
    name : str
        Canonical name or alias.
    family : Family
        Of the network.
    ratio : int
        Fine pixels along a coarse cell; 0 where the network takes all channels on its pixels.
    """
    if name == "month":
        return _MONTH
    if name in ("latitude", "longitude"):
        return None
    channel = standard_channels((name,), max(ratio, 1))[0]
    if channel.grid == "coarse" and not ratio:
        channel = dataclasses.replace(channel, grid="fine", ratio=None)
    mean, sd = family.statistics.get(channel.name, (channel.mean, channel.sd))
    return dataclasses.replace(channel, mean=mean, sd=sd)
