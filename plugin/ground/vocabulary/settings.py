"""What a setting is, and those of contributions and ablation; relevance has its own beside its methods."""

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
