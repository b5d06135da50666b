"""Files that lead elsewhere: descriptions of services, virtual rasters of remote or computed pixels, sidecars."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from floelens.tests.plugin.io.rasters import affine_grid, ramp, write_raster

ROWS, COLS = 30, 40
SERVICES = {
    "tms.tif": "<GDAL_WMS><Service name='TMS'><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service>"
    "<DataWindow>"
    "<UpperLeftX>0</UpperLeftX><UpperLeftY>9</UpperLeftY><LowerRightX>9</LowerRightX><LowerRightY>0</LowerRightY>"
    "<SizeX>40</SizeX><SizeY>30</SizeY></DataWindow><BandsCount>2</BandsCount></GDAL_WMS>",
    "wms.vrt": "<GDAL_WMS><Service name='WMS'><ServerUrl>{url}/wms?</ServerUrl></Service></GDAL_WMS>",
    "wmts.tif": "<GDAL_WMTS><GetCapabilitiesUrl>{url}/wmts</GetCapabilitiesUrl></GDAL_WMTS>",
    "wcs.xml": "<WCS_GDAL><ServiceURL>{url}/wcs?</ServiceURL><CoverageName>x</CoverageName></WCS_GDAL>",
    "wfs.gml": "<OGRWFSDataSource><URL>{url}/wfs</URL></OGRWFSDataSource>",
    "layers.geojson": "<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>WFS:{url}/wfs</SrcDataSource>"
    "</OGRVRTLayer></OGRVRTDataSource>",
    "tiles.json": '{{"type": "Feature", "stac_version": "1.0.0", "stac_extensions": ["tiled-assets"], '
    '"asset_templates": {{"a": {{"href": "{url}/a.tif"}}}}}}',
}
"""Texts that describe a service, by the names that they hide under."""


def write_services(folder: Path, url: str) -> list[Path]:
    """Write the descriptions of services."""
    paths = []
    for name, text in SERVICES.items():
        paths.append(folder / name)
        paths[-1].write_text(text.format(url=url))
    return paths


def vrt(source: str, relative: bool = False, head: str = "", band: str = "", kind: str = "") -> str:
    """Return the text of a virtual raster of two bands."""
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{n}" {kind}>{band}<SimpleSource><SourceFilename '
        f'relativeToVRT="{int(relative)}">{source}</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for n in (1, 2)
    )
    return (
        f'<VRTDataset rasterXSize="{COLS}" rasterYSize="{ROWS}"><GeoTransform>0,80,0,0,0,-80</GeoTransform>{head}'
        f"{bands}</VRTDataset>"
    )


def plain(folder: Path, name: str = "plain.tif") -> np.ndarray:
    """Write a harmless raster of two bands; return its values."""
    values = ramp(2, ROWS, COLS)
    write_raster(folder / name, values, affine_grid(ROWS, COLS), ["hh", "hv"])
    return values


_CODE = (
    "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>{}</PixelFunctionLanguage><PixelFunctionCode>"
    "def f(*a): open('{}', 'w')</PixelFunctionCode>"
)


def bad_virtual(folder: Path, url: str) -> dict[str, str]:
    """Write what virtual rasters of remote or computed pixels are made of; return their texts by kind."""
    plain(folder)
    write_services(folder, url)
    (folder / "inner.vrt").write_text(vrt(f"/vsicurl/{url}/inner.tif"))
    derived = 'subClass="VRTDerivedRasterBand"'
    warped = (
        '<GDALWarpOptions><SourceDataset relativeToVRT="{}">{}</SourceDataset><Transformer><GenImgProjTransformer>'
        "<ReprojectTransformer><ReprojectionTransformer><SourceSRS>{}</SourceSRS><TargetSRS>EPSG:4326</TargetSRS>"
        "</ReprojectionTransformer></ReprojectTransformer></GenImgProjTransformer></Transformer></GDALWarpOptions>"
    )
    head = f'<VRTDataset rasterXSize="{COLS}" rasterYSize="{ROWS}" subClass="VRTWarpedDataset">'
    tail = '<VRTRasterBand dataType="Float32" band="1" subClass="VRTWarpedRasterBand"/></VRTDataset>'
    return {
        "vsicurl": vrt(f"/vsicurl/{url}/a.tif"),
        "vsicurl in a zip": vrt(f"/vsizip/vsicurl/{url}/a.zip/a.tif"),
        "streamed": vrt(f"/vsicurl_streaming/{url}/a.tif"),
        "bucket": vrt("/vsis3/bucket/a.tif"),
        "http": vrt(f"{url}/a.tif"),
        "entities": vrt(f"&#47;vsicurl&#47;{url}/a.tif"),
        "literal": vrt(f"<![CDATA[/vsicurl/{url}/a.tif]]>"),
        "subdataset": vrt(f'NETCDF:&quot;{url}/a.nc&quot;:v'),
        "connection": vrt(f"WMS:{url}/wms?"),
        "protocol": vrt(f"vrt:///vsicurl/{url}/a.tif"),
        "server share": vrt("\\\\server\\share\\a.tif"),
        "text in text": vrt("&lt;GDAL_WMTS&gt;&lt;GetCapabilitiesUrl&gt;"
                            f"{url}/w&lt;/GetCapabilitiesUrl&gt;&lt;/GDAL_WMTS&gt;"),
        "service": vrt("wmts.tif", relative=True),
        "nested": vrt("inner.vrt", relative=True),
        "mask": vrt("plain.tif", True, band="<MaskBand><VRTRasterBand dataType='Byte'><SimpleSource><SourceFilename>"
                    f"/vsicurl/{url}/m.tif</SourceFilename></SimpleSource></VRTRasterBand></MaskBand>"),
        "overview": vrt("plain.tif", True, band=f"<Overview><SourceFilename>/vsicurl/{url}/o.tif"
                        "</SourceFilename></Overview>"),
        "overview in metadata": vrt("plain.tif", True, head="<Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>"
                                    f"/vsicurl/{url}/o.tif</MDI></Metadata>"),
        "reference system": vrt("plain.tif", True, head=f"<SRS>{url}/srs</SRS>"),
        "warped": head + warped.format(0, f"/vsicurl/{url}/a.tif", "EPSG:3413") + tail,
        "warped reference system": head + warped.format(1, "plain.tif", f"{url}/srs") + tail,
        "python": vrt("plain.tif", True, band=_CODE.format("Python", folder / "ran"), kind=derived),
        "python by another name": vrt("plain.tif", True, band=_CODE.format("PYTHON", folder / "ran"), kind=derived),
        "multidimensional": vrt("plain.tif", True, band="<ArraySource><SingleSourceArray><SourceFilename>"
                                f"/vsicurl/{url}/a.nc</SourceFilename></SingleSourceArray></ArraySource>"),
        "without end": vrt("bad.vrt", relative=True),
        "missing": vrt("gone.tif", relative=True),
        "damaged": vrt("plain.tif", True).replace("</VRTDataset>", ""),
    }  # fmt: skip


def bad_sidecars(folder: Path, url: str) -> dict[str, Path]:
    """Write harmless rasters with sidecars that lead elsewhere; return the rasters by kind."""
    plain(folder)
    found = {}
    service = SERVICES["wmts.tif"].format(url=url)
    for kind, extension, text in (
        ("mask", ".msk", service),
        ("overviews", ".ovr", service),
        ("virtual mask", ".msk", vrt(f"/vsicurl/{url}/m.tif")),
    ):
        found[kind] = folder / f"{kind}.tif"
        shutil.copy(folder / "plain.tif", found[kind])
        found[kind].with_name(found[kind].name + extension).write_text(text)
    return found


def bad_json(folder: Path, url: str) -> list[Path]:
    """Write polygons whose coordinate reference system is an address."""
    ring = [[[0, 80], [1, 80], [1, 81], [0, 80]]]
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": ring}}
    paths = []
    for number, crs in enumerate(
        (
            {"type": "link", "properties": {"href": f"{url}/crs", "type": "proj4"}},
            {"properties": {"url": f"{url}/crs"}, "type": "url"},
        )
    ):
        paths.append(folder / f"linked{number}.geojson")
        paths[-1].write_text(json.dumps({"type": "FeatureCollection", "features": [feature], "crs": crs}))
    return paths
