"""How ablations look in QGIS: purple - white - orange about zero, as relevance does, with a legend of their own."""

from __future__ import annotations

from .layers import about_zero, diverging_style


def ablation_style(
    shown: str, group: str, limit: float, unit: str, *, band: int = 1, start_time: str | None = None
) -> str:
    """Return the style of a raster of changes: orange where a group raises the prediction, purple lowers it.

    Parameters
    ----------
    shown : str
        The class whose prediction changes.
    group : str
        Group of channels of `band`.
    limit : float
        Change at which the colours end; one that is not a positive number counts as 1.
    unit : str
        Of the change: ``%`` or ``logit``; may be empty.
    band : int
        Band shown, from 1.
    start_time : str, optional
        Start of the scene, ISO 8601.
    """
    size = f"{about_zero(limit):.2g} {unit}".strip()
    limits = (f"≤ −{size}: {group} lowers {shown}", f"≥ {size}: {group} raises {shown}")
    return diverging_style(about_zero(limit), limits, band=band, start_time=start_time)
