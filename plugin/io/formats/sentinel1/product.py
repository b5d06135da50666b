"""A product: which files its manifest names, what they say, and all of it together as a `Product`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ....ground.errors import ParameterError, SceneError
from ...scene.sub_swaths import TAG as SUB_SWATHS
from ...scene.sub_swaths import tag_text
from ..product import ImportOptions, Product
from .annotation import Annotation, read_annotation
from .backscatter import FLOOR, Measurement
from .border import LIMIT, WIDTH
from .calibration import Calibration
from .nersc_noise import POLARISATION, SOURCE, rescalings
from .noise import Noise
from .raster import Sentinel1Raster
from .store import MANIFEST_LIMIT, Store, inside, open_store
from .xml import MANIFEST_ELEMENTS, Node, parse

POLARISATIONS = ("hh", "hv", "vv", "vh")
"""In the order of bands: co-polarised before cross-polarised."""
_MODES = ("EW", "IW")
_MOST_LOOKS = 1000
_LONGEST_NAME = 8  # of a sub-swath
_KIND = "Sentinel-1 GRD"
PIXEL_CONVENTION = (
    "Tie points are at the centres of pixels: index i of the product (zero-based) is at i + 0.5, "
    "(0, 0) being the outer corner of the first pixel"
)
NOISE_CONVENTION = (
    "Range noise linear in pixel and in line inside each azimuth block and sub-swath, held to the block's ends; "
    "zeros of the table are no values; azimuth factors linear in line"
)
BORDER_CONVENTION = (
    f"DN 0 is no data; from each end of a row pixels are no data up to the first one that, like the mean of the "
    f"{WIDTH} pixels from it inward, exceeds {LIMIT:g} of the thermal noise"
)
NEGATIVE_DECIBELS = (
    f"sigma0 below {FLOOR:g} of the noise-equivalent sigma0, negative values included, is raised to it"
)
NEGATIVE_LINEAR = "Negative sigma0 after the noise was subtracted is kept"


@dataclass(frozen=True)
class ImageFiles:
    """The files of one image, relative to the product."""

    measurement: str
    annotation: str
    calibration: str
    noise: str


@dataclass(frozen=True)
class Manifest:
    """What the manifest says.

    Parameters
    ----------
    product_type : str
        ``GRD``, ``SLC``, ``OCN``, ``RAW``.
    ipf : str
        Version of the processor, as in ``003.52``; empty where it is not stated.
    images : tuple of ImageFiles
        One per polarisation.
    """

    product_type: str
    ipf: str
    images: tuple[ImageFiles, ...]


def read_manifest(store: Store) -> Manifest:
    """Return what the manifest of a product says.

    Raises
    ------
    SceneError
        It is malformed, names files outside of the product, or the product is no GRD.
    """
    data = store.read(store.manifest, MANIFEST_LIMIT)
    root = parse(data, f"{store.manifest} of {store.name}", MANIFEST_ELEMENTS)
    kind = root.text(".//standAloneProductInformation/productType", default="")
    if not kind:
        kind = "GRD" if "_GRD" in store.name.upper() else "unknown"
    if kind.upper() != "GRD":
        raise SceneError(
            f"{store.source} is a Sentinel-1 {kind[:20]} product; only GRD is read. "
            "Download the GRD product of the same acquisition."
        )
    software = [
        node for node in root.all(".//processing/facility/software") if node.attribute("version").strip()
    ]
    ipf = software[0].attribute("version").split()[-1] if software else ""
    files = {}
    for entry in root.all("dataObjectSection/dataObject"):
        locations = entry.all("byteStream/fileLocation")
        if locations:
            files[entry.attribute("ID")] = inside(locations[0].attribute("href"), store.source)
    schema = {
        entry.attribute("ID"): entry.attribute("repID") for entry in root.all("dataObjectSection/dataObject")
    }
    images = [name for name in files if schema.get(name) == "s1Level1MeasurementSchema"]
    if not 1 <= len(images) <= len(POLARISATIONS):
        raise root.error(f"names {len(images)} measurements")
    measurements = []
    for image in images:
        parts = []
        for part in ("product", "calibration", "noise"):
            if part + image not in files:
                what = "annotation" if part == "product" else f"{part} table"
                raise SceneError(
                    f"{store.source} has no {what} for {files[image]}. Download the whole product again."
                )
            parts.append(files[part + image])
        measurements.append(ImageFiles(files[image], *parts))
    return Manifest(kind.upper(), ipf, tuple(measurements))


def open_sentinel1(path: str, options: ImportOptions) -> Product:
    """Open a Sentinel-1 GRD product.

    Parameters
    ----------
    path : str
        Its ``manifest.safe``, its folder, or a zip of the folder; also under ``/vsizip/`` and the like.
    options : ImportOptions
        `decibels` and `multilook` apply.

    Returns
    -------
    Product
        With one raster, ``sar``. Its ``found["counts"]`` counts the rows read so far.

    Raises
    ------
    SceneError
        It is no GRD product of EW or IW mode, or damaged, incomplete or forged.
    ParameterError
        `multilook` is out of range.
    """
    if not 1 <= options.multilook <= _MOST_LOOKS:
        raise ParameterError(f"Multilook is {options.multilook}: give 1 to {_MOST_LOOKS} pixels.")
    store = open_store(path)
    manifest = read_manifest(store)
    with ExitStack() as stack:
        images = []
        for files in manifest.images:
            images.append(_open_image(store, files, manifest.ipf if options.noise == "nersc" else None))
            stack.callback(images[-1][1].close)
        _check_alike(store, [annotation for annotation, _, _ in images])
        images.sort(key=lambda image: POLARISATIONS.index(image[0].polarisation))
        annotations = [annotation for annotation, _, _ in images]
        measurements = [measurement for _, measurement, _ in images]
        noises = [noise for _, _, noise in images]
        first = annotations[0]
        if options.multilook > min(first.rows, first.cols):
            raise ParameterError(
                f"Multilook is {options.multilook}, the image has {first.rows} x {first.cols} pixels. Give less."
            )
        raster = Sentinel1Raster(
            measurements, first.tie_points, first.grid(), options.decibels, options.multilook
        )
        stack.pop_all()
    product = Product(
        kind=_KIND,
        name=store.name,
        time=first.start,
        rasters={"sar": raster},
        tags=_tags(manifest, first, noises[0], options),
        found=_found(manifest, annotations, noises, raster, options),
        close=raster.close,
    )
    product.warnings += _warnings(store, manifest, annotations, noises)
    return product


def _open_image(
    store: Store, files: ImageFiles, nersc_ipf: str | None
) -> tuple[Annotation, Measurement, Noise]:
    def read(name: str) -> Node:
        return parse(store.read(name), f"{name} of {store.name}")

    annotation = read_annotation(read(files.annotation))
    if annotation.product_type.upper() != "GRD" or annotation.mode not in _MODES:
        raise SceneError(
            f"{store.source} is a product of type {annotation.product_type[:20]} and mode {annotation.mode[:20]}; "
            f"only GRD of {' and '.join(_MODES)} is read."
        )
    if annotation.polarisation not in POLARISATIONS:
        raise SceneError(
            f"{files.annotation} of {store.name} has the polarisation '{annotation.polarisation[:20]}'. "
            f"Known are {', '.join(POLARISATIONS)}: the product is damaged, download it again."
        )
    tables = []
    for name in (files.calibration, files.noise):
        root = read(name)
        polarisation = root.text("adsHeader/polarisation").lower()
        if polarisation != annotation.polarisation:
            raise root.error(f"is for {polarisation[:20]}, its image is {annotation.polarisation}")
        tables.append(root)
    rows, cols = annotation.rows, annotation.cols
    calibration, noise = Calibration(tables[0], rows, cols), Noise(tables[1], rows, cols)
    rescaled = None
    if nersc_ipf is not None and annotation.polarisation == POLARISATION:
        rescaled = rescalings(store.source, annotation.mission, annotation.mode, nersc_ipf)
        if annotation.noise_removed or not set(rescaled) <= set(noise.sub_swaths):
            why = (
                "was removed already"
                if annotation.noise_removed
                else f"is not given for {', '.join(rescaled)}"
            )
            raise SceneError(
                f"NOISE=nersc, but the thermal noise of {store.source} {why}. Set NOISE=esa, or download the product "
                "as ESA's archive has it."
            )
    measurement = Measurement(store, files.measurement, annotation, calibration, noise, rescaled)
    return annotation, measurement, noise


def _check_alike(store: Store, annotations: list[Annotation]) -> None:
    first = annotations[0]
    names = [annotation.polarisation for annotation in annotations]
    if len(set(names)) != len(names):
        raise SceneError(f"{store.source} holds {names[0]} several times. Download the product again.")
    for other in annotations[1:]:
        if (other.rows, other.cols) != (first.rows, first.cols):
            raise SceneError(
                f"The images of {store.source} differ in size: {first.polarisation} has {first.rows} x {first.cols} "
                f"pixels, {other.polarisation} {other.rows} x {other.cols}. Download the product again."
            )


def _tags(manifest: Manifest, first: Annotation, noise: Noise, options: ImportOptions) -> dict[str, str]:
    return {
        **_sub_swaths(first, noise),
        "start_time": first.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "FLOELENS_PRODUCT": _KIND,
        "FLOELENS_BANDS": "sigma0, noise subtracted",
        "FLOELENS_MISSION": first.mission,
        "FLOELENS_MODE": first.mode,
        "FLOELENS_IPF": manifest.ipf,
        "FLOELENS_ORBIT": str(first.orbit),
        "FLOELENS_PASS": first.direction,
        "FLOELENS_MULTILOOK": str(options.multilook),
        "FLOELENS_PIXEL_CONVENTION": PIXEL_CONVENTION,
        "FLOELENS_NOISE": NOISE_CONVENTION,
        "FLOELENS_NOISE_CORRECTION": options.noise,
        **({"FLOELENS_NOISE_SOURCE": SOURCE} if options.noise == "nersc" else {}),
        "FLOELENS_BORDER": BORDER_CONVENTION,
        "FLOELENS_NEGATIVE_VALUES": NEGATIVE_DECIBELS if options.decibels else NEGATIVE_LINEAR,
    }


def _sub_swaths(annotation: Annotation, noise: Noise) -> dict[str, str]:
    """Return the tag of the sub-swaths; nothing where the table of the noise names none."""
    known = noise.sub_swaths
    if len(known) < 2 or not all(name.isalnum() and len(name) <= _LONGEST_NAME for name in known):
        return {}
    ends = list(known.values())
    between = np.array([(before[1] + after[0]) / 2 for before, after in zip(ends, ends[1:])])
    angles = np.empty((1, len(between)), np.float32)
    annotation.tie_points.fill_incidence(np.array([annotation.rows / 2]), between, angles)
    return {SUB_SWATHS: tag_text(tuple(known), angles[0].tolist())}


def _found(
    manifest: Manifest,
    annotations: list[Annotation],
    noises: list[Noise],
    raster: Sentinel1Raster,
    options: ImportOptions,
) -> dict[str, object]:
    first = annotations[0]
    names = [annotation.polarisation for annotation in annotations]
    return {
        "mission": first.mission,
        "mode": first.mode,
        "product_type": first.product_type,
        "ipf": manifest.ipf,
        "polarisations": [name.upper() for name in names],
        "channels": [band.name for band in raster.bands],
        "missing_channels": [name for name in ("hh", "hv") if name not in names],
        "start_time": first.start.isoformat(),
        "stop_time": first.stop.isoformat(),
        "orbit": first.orbit,
        "pass": first.direction,
        "heading_degrees": first.heading,
        "rows": raster.grid.rows,
        "cols": raster.grid.cols,
        "pixel_spacing_m": [value * options.multilook for value in first.spacing],
        "multilook": options.multilook,
        "units": "dB" if options.decibels else "linear",
        "tie_points": first.tie_points.latitude.size,
        "pixel_convention": PIXEL_CONVENTION,
        "noise": {
            annotation.polarisation: {
                "subtracted": not annotation.noise_removed,
                "format": noise.format,
                "azimuth_blocks": noise.blocks,
                "share_of_image_in_blocks": round(noise.covered, 6),
            }
            for annotation, noise in zip(annotations, noises)
        },
        "noise_convention": NOISE_CONVENTION,
        "noise_correction": options.noise,
        **({"noise_source": SOURCE} if options.noise == "nersc" else {}),
        "border": BORDER_CONVENTION,
        "negative_values": NEGATIVE_DECIBELS if options.decibels else NEGATIVE_LINEAR,
        # Filled as rows are read.
        "counts": raster.counts,
    }


def _warnings(
    store: Store, manifest: Manifest, annotations: list[Annotation], noises: list[Noise]
) -> list[str]:
    texts = []
    for annotation, noise in zip(annotations, noises):
        if annotation.noise_removed:
            texts.append(
                f"{store.name} has its thermal noise removed from {annotation.polarisation} already: "
                "nothing was subtracted."
            )
        elif noise.empty:
            texts.append(
                f"The noise table of {annotation.polarisation} in {store.name} holds zeros only: "
                "nothing was subtracted."
            )
    if manifest.ipf and manifest.ipf < "002.50":
        texts.append(
            f"{store.name} was made by IPF {manifest.ipf}: noise tables before 002.50 are not to scale, "
            "so that thermal noise is hardly subtracted. Download the reprocessed product."
        )
    missing = [name for name in ("hh", "hv") if name not in [a.polarisation for a in annotations]]
    if missing:
        texts.append(
            f"{store.name} has no {' and no '.join(name.upper() for name in missing)}: "
            "networks that read these channels cannot run on it."
        )
    return texts
