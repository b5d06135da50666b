"""Judging a virtual raster (VRT) before GDAL opens it: what it is made of must lie on this machine.

A VRT is a text that names other files, which GDAL opens with all of its drivers while pixels are read; a
band of it may be computed by Python code in the text. Its every element is looked at through GDAL's own
parser: those known here pass, and each file that it names is judged like the VRT itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from osgeo import gdal

from ...ground.errors import SceneError
from .drivers import NAMED_RASTERS, SUBDATASETS, is_remote, mentions_remote, split_source, sure_driver
from .sources import file_size, head

VIRTUAL = "<VRTDataset"
"""How the text of a virtual raster begins."""

_HEAD = 4096  # GDAL looks at the first 1024 bytes
_MOST_BYTES = 64 << 20
_DEEPEST = 8
_SIDECARS = (".msk", ".ovr")
_ELEMENT, _TEXT, _ATTRIBUTE = 0, 1, 2  # kinds of nodes in GDAL's tree

_FILES = {"sourcefilename", "sourcedataset", "dempath"}
_ELEMENTS = """
    ?xml vrtdataset srs geotransform gcplist gcp metadata mdi vrtrasterband description unittype offset scale
    categorynames category colorinterp colortable entry hidenodatavalue nodatavalue nodatafrommasksource
    histograms histitem histmin histmax bucketcount includeoutofrange approximate histcounts
    overview maskband blockxsize blockysize overviewlist resampling
    simplesource complexsource averagedsource kernelfilteredsource sourceband sourceproperties srcrect dstrect
    nodata usemaskband lut scaleoffset scaleratio colortablecomponent exponent srcmin srcmax dstmin dstmax clamp
    kernel size coefs openoptions ooi
    pixelfunctiontype pixelfunctionlanguage pixelfunctionarguments sourcetransfertype bufferradius
    skipnoncontributingsources imageoffset pixeloffset lineoffset byteorder
    gdalwarpoptions warpmemorylimit resamplealg workingdatatype option initdest multithread cutline
    cutlineblenddist srcalphaband dstalphaband bandlist bandmapping srcnodatareal srcnodataimag dstnodatareal
    dstnodataimag transformer approxtransformer maxerror maxerrorforward maxerrorreverse basetransformer
    genimgprojtransformer srcgeotransform srcinvgeotransform dstgeotransform dstinvgeotransform
    reprojecttransformer reprojectiontransformer sourcesrs targetsrs sourcecrs targetcrs areaofinterest centerlong
    options gcptransformer srcgcptransformer dstgcptransformer tpstransformer srctpstransformer dsttpstransformer
    order reversed refine minimumgcps tolerance rpctransformer srcrpctransformer dstrpctransformer heightoffset
    heightscale pixelerrthreshold deminterpolation demmissingvalue demapplyverticaldatumshift demsrs
    geoloctransformer srcgeoloctransformer srcapproxerrorinpixel dstapproxerrorinpixel
"""
_KNOWN = _FILES | set(_ELEMENTS.split())
_CLASSES = {"", "vrtdataset", "vrtwarpeddataset", "vrtsourcedrasterband", "vrtwarpedrasterband",
            "vrtrawrasterband", "vrtderivedrasterband"}  # fmt: skip
_FREE = {"description", "category", "unittype"}  # text for people, which may quote an address
_MDI_FILES = {"x_dataset", "y_dataset", "overview_file"}
# A definition by address, and grids of a coordinate reference system by one.
_ADDRESS = re.compile(r"^\s*\w+://|(grids|file)=\S*://|PARAMETERFILE\[[^\]]*://", re.IGNORECASE)


def is_virtual(path: str) -> bool:
    """Return whether a file may be a virtual raster to GDAL."""
    return VIRTUAL.encode() in head(path, _HEAD)


def check_virtual(source: str) -> None:
    """Check a virtual raster and, one by one, the files that it names.

    Parameters
    ----------
    source : str
        Its file, or its text.

    Raises
    ------
    SceneError
        It is damaged, computes with code of its own, or names what does not lie on this machine as a file of a
        format that is read.
    """
    _Judge("The virtual raster" if VIRTUAL in source else source).judge(source)


def check_sidecars(path: str) -> None:
    """Check the mask and the overviews beside a file: GDAL opens them by itself, with all of its drivers.

    Raises
    ------
    SceneError
        One is no raster of a format that is read.
    """
    if is_remote(path):
        return
    for beside in (path + extension for extension in _SIDECARS):
        if file_size(beside) and (is_virtual(beside) or not sure_driver(beside)):
            raise SceneError(
                f"{beside} is no plain raster, and GDAL opens it with {path}. Remove it, or make it again. Read "
                f"are: {NAMED_RASTERS}."
            )


@dataclass(frozen=True)
class _Element:
    """An element of a VRT; names in lower case."""

    name: str
    content: str
    attributes: dict[str, str]
    parent_class: str

    @property
    def texts(self) -> list[str]:
        """What may name something."""
        return [*self.attributes.values(), *([] if self.name in _FREE | _FILES else [self.content])]


class _Judge:
    """One judgement: what a person named, and what has been looked at."""

    def __init__(self, named: str) -> None:
        self._named = named
        self._seen: set[str] = set()
        self._open: list[str] = []  # virtual rasters, each named by the one before

    def judge(self, source: str) -> None:
        if source in self._open or len(self._open) > _DEEPEST:
            raise self._refused("is made of virtual rasters without end")
        self._open.append(source)
        inline = VIRTUAL in source
        folder = "" if inline else _folder(source)
        for element in _elements(self._tree(source if inline else self._text(source))):
            self._judge_element(element, folder)
        self._open.pop()

    def _text(self, path: str) -> str:
        size = file_size(path) or 0
        if size > _MOST_BYTES:
            raise self._refused(f"has {size} bytes, too many for a virtual raster")
        try:
            return head(path, _MOST_BYTES).split(b"\0")[0].decode()
        except UnicodeDecodeError:
            raise self._refused("is not in UTF-8") from None

    def _tree(self, text: str) -> list[Any]:
        try:
            tree = gdal.ParseXMLString(text)
        except RuntimeError:  # where somebody has switched GDAL's exceptions on
            tree = None
        if not tree:
            raise self._refused("is damaged")
        return tree

    def _judge_element(self, element: _Element, folder: str) -> None:
        name, attributes = element.name, element.attributes
        if name == "pixelfunctioncode" or (
            name == "pixelfunctionlanguage" and element.content.strip().lower() != "c"
        ):
            raise self._refused("computes its pixels with code of its own")
        if name == "mdi":
            if attributes.get("key", "").lower() in _MDI_FILES:
                self._judge_file(element.content, folder, optional=True)
            return
        kind = attributes.get("subclass", "").lower()
        if name not in _KNOWN or kind not in _CLASSES:
            raise self._refused(f"is made in a way that is not read here ('{(kind or name)[:40]}')")
        if name == "ooi" and attributes.get("key", "").upper() == "ROOT_PATH":
            raise self._refused("moves the folder of its sources")
        for text in element.texts:
            if mentions_remote(text) or _ADDRESS.search(text):
                raise self._elsewhere(text)
        if name in _FILES:
            near = attributes.get("relativetovrt", "0").strip() not in ("", "0")
            raw = element.parent_class == "vrtrawrasterband"
            self._judge_file(element.content, folder if near else "", raw)

    def _judge_file(self, name: str, folder: str, raw: bool = False, optional: bool = False) -> None:
        """Check one file that the VRT names; a raw one has no format, an optional one need not be there."""
        prefix, file = split_source(name)
        if (
            (prefix and prefix not in SUBDATASETS)
            or any(mark in file for mark in ("://", "<"))
            or re.match(r"[\\/]{2}", file)  # \\server\share
            or is_remote(file)
        ):
            raise self._elsewhere(name)
        if folder and not file.startswith("/") and not os.path.isabs(file):
            file = f"{folder}/{file}"
            if is_remote(file) and ".." in file:
                raise self._elsewhere(name)
        if file in self._seen and file not in self._open:
            return
        self._seen.add(file)
        start = head(file, _HEAD)
        if not start and not optional:
            raise self._refused(f"is made of '{file[:150]}', which is not there, or empty")
        if not start or raw:
            return
        if VIRTUAL.encode() in start:
            self.judge(file)
        elif not sure_driver(file):
            raise self._refused(
                f"is made of '{file[:150]}', which is no raster of a format that is read here"
            )
        check_sidecars(file)

    def _elsewhere(self, name: str) -> SceneError:
        return self._refused(f"is made of '{name.strip()[:150]}', which is no plain file on this machine")

    def _refused(self, what: str) -> SceneError:
        return SceneError(
            f"{self._named} {what}. It is not opened: save it as GeoTIFF with the program that it comes from."
        )


def _folder(path: str) -> str:
    """Return the folder that relative names start from: that of the file itself where `path` is a link to it."""
    if path.startswith("/vsi"):
        return path.rpartition("/")[0]
    for _ in range(40):
        if not os.path.islink(path):
            break
        path = os.path.join(os.path.dirname(path), os.readlink(path))
    return os.path.dirname(path) or "."


def _elements(tree: list[Any]) -> Iterator[_Element]:
    """Yield every element of GDAL's tree; of metadata only single entries, which may hold any XML."""
    waiting: list[tuple[list[Any], str]] = [(tree, "")]
    while waiting:
        node, parent_class = waiting.pop()
        name, children = node[1].lower(), [child for child in node[2:] if child[0] == _ELEMENT]
        attributes = {c[1].lower(): c[2][1] if len(c) > 2 else "" for c in node[2:] if c[0] == _ATTRIBUTE}
        if name:  # several elements side by side hang on a nameless one
            content = "".join(child[1] for child in node[2:] if child[0] == _TEXT)
            yield _Element(name, content, attributes, parent_class)
        if name == "metadata":
            children = [child for child in children if child[1].lower() == "mdi"]
        kind = attributes.get("subclass", "").lower()
        waiting += [(child, kind) for child in children if name != "mdi"]
