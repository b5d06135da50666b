"""What a setting is, and those that both dialogs and jobs have; relevance has its own beside its methods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """A number or word that methods take.

    Parameters
    ----------
    label : str
        What dialogs call it.
    help : str
        What it does.
    default : float, int or str
        Also of jobs and of the science below them.
    least, most : float, int or None
        The bounds of a number.
    reported : str
        What reports call it.
    """

    label: str
    help: str
    default: Any
    least: Any = None
    most: Any = None
    reported: str = ""


CONTRIBUTION_STEPS = Setting(
    "Steps",
    "Steps of integrated along the path from the baseline, to begin with; doubled, up to 64, until the "
    "split stands still. A split in which one group at most is not linear, as by sensor with the bundled models, "
    "is exact without.",
    4,
    1,
    64,
)
BLUR = Setting("Blur (km)", "Standard deviation of the Gaussian of BASELINE=blur.", 4.0, 0.05, 50.0)
BLOCK_SIZE = Setting("Block size (km)", "Side of the blocks.", 64.0, 1.0, 10000.0)
ZONE_SIZE = Setting(
    "Zone size (km)",
    "Makes square zones of this size where ZONES is empty and ZONE_ZSCORES is asked for; 0 takes a size "
    "whose pixels suffice for scores, 100 km at most where they do.",
    0.0,
    0.0,
    10000.0,
)
MEMORY = Setting(
    "Memory (MiB)",
    "Memory for tiles; it sets their size, and results do not depend on it.",
    1024,
    128,
    2**31 - 1,
)
CAP = Setting(
    "Cap of SAR values (standard deviations)",
    "SAR values farther than this from their training mean are set to this distance, so that outliers make no "
    "peaks in the map; 0 caps none.",
    0.0,
    0.0,
    1000.0,
)
OFFSET = Setting(
    "Offset of SAR values (standard deviations)",
    "Added to every SAR value after the cap: a map that moves while the prediction does not is an artifact.",
    0.0,
    -1000.0,
    1000.0,
)
ROWS = Setting("Rows", "Rows of the SAR raster.", 1000, 50, 20000)
COLS = Setting("Columns", "Columns of the SAR raster.", 1000, 50, 20000)
PIXEL_SIZE = Setting(
    "Pixel size (m)",
    "Side of a SAR pixel on the ground; the models that come along expect 80 m.",
    80.0,
    10.0,
    1000.0,
)
CENTER = 20.0, 79.0  # longitude and latitude of a simulated scene
SCENE_SEED = Setting("Seed", "The same seed and settings give the same scene.", 1, 0, 2**31 - 1)
MULTILOOK = Setting(
    "Multilook",
    "Pixels averaged along each side, as power: 2 makes 80 m of 40 m. Classes take the middle pixel.",
    1,
    1,
    100,
)
MODEL_PIXEL_SIZE = Setting(
    "Pixel size (m)",
    "Size of the pixels the network was trained on; 0 takes that of the card or the family.",
    0.0,
    0.0,
    100000.0,
)
MODEL_RATIO = Setting(
    "Pixels of a coarse cell",
    "Pixels along a cell of radiometry and weather; 0 takes as many as 2 km have, or all channels on the network's "
    "pixels where that is no whole number.",
    0,
    0,
    1000,
)
MODEL_WINDOW = Setting(
    "Window (pixels)",
    "Of a network whose output depends on the whole image (global pooling, aligned corners, group or instance norm): "
    "the side of the images it was trained on. Scenes are run in windows of this size, each pixel by the window whose "
    "centre is nearest, and reports say by how much neighbours differ. 0 runs a scene at once.",
    0,
    0,
    8192,
)
MODEL_OVERLAP = Setting(
    "Overlap of windows (pixels)",
    "Pixels, at least, that neighbouring windows have in common; 0 takes a quarter of WINDOW.",
    0,
    0,
    8191,
)
DOMINANT_SHARE = Setting(
    "Dominant share (%)",
    "Share of the ice that one stage of development, or floe size, must reach to be mapped.",
    65.0,
    0.0,
    100.0,
)
