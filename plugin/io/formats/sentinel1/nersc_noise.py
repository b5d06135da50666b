"""Coefficients of NERSC's noise correction: scaling and balancing of the noise by sub-swath.

The noise-equivalent sigma0 of the product is multiplied by a factor and an offset is added, each one number for a
sub-swath, satellite and version of the processor (Park et al. 2018, IEEE TGRS 56, 1555-1565,
doi:10.1109/TGRS.2017.2765248). The numbers were published with sentinel1denoised of the Nansen Environmental and
Remote Sensing Center (github.com/nansencenter/sentinel1denoised, its files ``denoising_parameters_S1A.json`` and
``_S1B.json``; that program is GPL-3; only its numbers stand here). They are for HV of EW GRDM alone. Its further step,
a shift of the noise vectors in range by the antenna pattern, is not made here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ....ground.errors import SceneError

MODE, POLARISATION = "EW", "hv"
SOURCE = (
    "NERSC's scaling and balancing by sub-swath (Park et al. 2018, doi:10.1109/TGRS.2017.2765248; coefficients of "
    "nansencenter/sentinel1denoised), without its shift of the noise in range"
)
"""What was done, for tags and reports."""

# (satellite, IPF) → factor and offset (sigma0, linear) of EW1 … EW5.
_PUBLISHED: Mapping[tuple[str, str], tuple[tuple[float, float], ...]] = {
    ("S1A", "2.9"): (
        (1.4807347002871454, 8.975356126433124e-05),
        (1.0029777509123536, -3.2072923462756304e-05),
        (0.9874088104539668, -4.2308784256238215e-06),
        (1.057951324021166, -9.741424762886609e-06),
        (1.0227437274453466, 1.4381981407809117e-05),
    ),
    ("S1A", "3.1"): (
        (1.017835030604865, 7.57235674315287e-05),
        (0.9892761260633363, -6.319790728254828e-06),
        (0.9809958597679401, 2.052883529660864e-06),
        (1.062171620153455, -9.312364192648315e-06),
        (1.0307113867037478, -7.009654437561607e-06),
    ),
    ("S1B", "2.9"): (
        (1.305280998613563, 0.00025305611359726325),
        (0.8641176122168954, 0.00012071725964903955),
        (0.8345671251216081, 0.00011109257905114715),
        (0.8847383300380769, 7.86029897067209e-05),
        (0.8834177979201993, 8.10917108546939e-05),
    ),
    ("S1B", "3.1"): (
        (0.9114866249336492, 0.00021798042217032224),
        (0.8728371017173528, 0.00011180213382868847),
        (0.8338695690167017, 0.00010919371737317837),
        (0.8879468615328421, 8.201988798977462e-05),
        (0.8897685557797818, 8.103568031595694e-05),
    ),
}


@dataclass(frozen=True)
class Rescaling:
    """What becomes of the noise of one sub-swath.

    Parameters
    ----------
    factor : float
        Of the noise-equivalent sigma0.
    offset : float
        Added to it afterwards, as sigma0 (linear power).
    """

    factor: float
    offset: float


def rescalings(source: str, mission: str, mode: str, ipf: str) -> dict[str, Rescaling]:
    """Return the published rescaling of each sub-swath of a product.

    Parameters
    ----------
    source : str
        The product, for messages.
    mission, mode : str
        Such as ``S1A`` and ``EW``.
    ipf : str
        Version of the processor, as in ``003.10``; the published numbers are by its first decimal.

    Raises
    ------
    SceneError
        None are published for it.
    """
    try:
        version = f"{float(ipf):.1f}"
    except ValueError:
        version = ipf[:20] or "unknown"
    published = _PUBLISHED.get((mission, version)) if mode == MODE else None
    if published is None:
        known = ", ".join(f"{satellite} IPF {number}" for satellite, number in _PUBLISHED)
        raise SceneError(
            f"NOISE=nersc, but no coefficients are known here for {source} ({mission}, {mode}, IPF {version}), only "
            f"for {MODE} of {known}. Set NOISE=esa, or correct the noise with sentinel1denoised."
        )
    return {f"{MODE}{place}": Rescaling(*numbers) for place, numbers in enumerate(published, 1)}
