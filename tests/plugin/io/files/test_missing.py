"""Missing data in all the ways in which a file may say it: the same holes, however they are declared."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import ParameterError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.gdal_state import quiet_gdal
from floelens.plugin.io.files.missing import equals_nodata
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.formats.labels import LabelReader
from floelens.plugin.io.scene.channels import RasterRole, choose_bands
from floelens.tests.plugin.io.rasters import affine_grid, card_of, channel, ramp, write_raster
from osgeo import gdal

ROWS, COLS = 30, 40
GRID = affine_grid(ROWS, COLS)
WHOLE = Window(0, 0, ROWS, COLS)
HOLES = np.zeros((2, ROWS, COLS), bool)
HOLES[0, :, :9], HOLES[1, 20:] = True, True  # each band has a hole of its own
MASKS = np.where(HOLES, 0, 255).astype("uint8")
FLOAT_MAX = float(np.finfo("f4").max)


def sidecar(path: str, masks: np.ndarray, flags: int) -> None:
    """Write masks into the ``.msk`` beside a raster."""
    out = gdal.GetDriverByName("GTiff").Create(f"{path}.msk", COLS, ROWS, len(masks), gdal.GDT_Byte)
    for number, mask in enumerate(masks, 1):
        out.GetRasterBand(number).WriteArray(mask)
    for number in (1, 2):
        out.SetMetadataItem(f"INTERNAL_MASK_FLAGS_{number}", str(flags))
    out = None


def inside(path: str, mask: np.ndarray) -> None:
    """Write a mask of the whole dataset into the raster itself."""
    before = gdal.GetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK")
    gdal.SetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", "YES")
    out = gdal.OpenEx(path, gdal.OF_RASTER | gdal.OF_UPDATE)
    out.CreateMaskBand(gdal.GMF_PER_DATASET)
    out.GetRasterBand(1).GetMaskBand().WriteArray(mask)
    out = None
    gdal.SetThreadLocalConfigOption("GDAL_TIFF_INTERNAL_MASK", before)


GDAL_NAMES = {"float32": "Float32", "int16": "Int16", "uint16": "UInt16"}


def virtual(path, source: str, band: str, text: str = "") -> str:
    """Write a VRT of the two bands of a raster; `band` goes into each, with {n} for its number."""
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{n}">{band.format(n=n)}<SimpleSource><SourceFilename '
        f'relativeToVRT="1">{source}</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource></VRTRasterBand>'
        for n in (1, 2)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="{COLS}" rasterYSize="{ROWS}"><SRS>EPSG:3413</SRS>'
        f"<GeoTransform>0,80,0,0,0,-80</GeoTransform>{text}{bands}</VRTDataset>"
    )
    return str(path)


def masked(tmp_path, kind: str) -> tuple[str, np.ndarray]:
    """Return a raster of two bands whose missing data are marked in one way, and where they are."""
    values, both = ramp(2, ROWS, COLS), np.broadcast_to(HOLES[0], HOLES.shape)
    path = write_raster(tmp_path / "plain.tif", values, GRID, ["hh", "hv"])
    if kind == "sidecar of two masks":
        sidecar(path, MASKS, 0)
        return path, HOLES
    if kind == "sidecar of one mask":
        sidecar(path, MASKS[:1], gdal.GMF_PER_DATASET)
        return path, both
    if kind == "mask inside":
        inside(path, MASKS[0])
        return path, both
    if kind == "mask and no-data value":
        values[1, HOLES[1]] = -9999
        path = write_raster(tmp_path / "both.tif", values, GRID, ["hh", "hv"], nodata=-9999)
        sidecar(path, MASKS[:1], gdal.GMF_PER_DATASET)
        return path, np.stack([HOLES[0], HOLES[0] | HOLES[1]])
    if kind == "masks of VRT bands":
        write_raster(tmp_path / "masks.tif", MASKS, GRID)
        mask = (
            '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename relativeToVRT="1">masks.tif'
            "</SourceFilename><SourceBand>{n}</SourceBand></SimpleSource></VRTRasterBand></MaskBand>"
        )
        return virtual(tmp_path / "a.vrt", "plain.tif", mask), HOLES
    if kind == "a pair of no-data values":  # missing where all bands are at theirs
        values[:, HOLES[0]] = np.array([[1.0], [2.0]], "f4")
        path = write_raster(tmp_path / "pair.tif", values, GRID, tags={"NODATA_VALUES": "1 2"})
        return path, both
    where, dtype = kind.split()[0], kind.split()[-1]
    bands = [*np.abs(values)]
    bands.insert(2 if where == "last" else 1, MASKS[0])
    path = write_raster(tmp_path / "alpha.tif", np.stack(bands).astype(dtype), GRID, photometric="minisblack")
    alone(path, 3 if where == "last" else 2)
    return path, both


def alone(path: str, alpha: int) -> None:
    """Make one band of a raster its only alpha band."""
    out = gdal.OpenEx(path, gdal.OF_RASTER | gdal.OF_UPDATE)
    for number in range(1, out.RasterCount + 1):
        kind = gdal.GCI_AlphaBand if number == alpha else gdal.GCI_GrayIndex
        out.GetRasterBand(number).SetColorInterpretation(kind)
    out = None


@pytest.mark.parametrize(
    "kind",
    [
        "sidecar of two masks", "sidecar of one mask", "mask inside", "mask and no-data value",
        "masks of VRT bands", "a pair of no-data values", "last alpha float32", "last alpha uint8",
        "last alpha uint16", "middle alpha float32",
    ],
)  # fmt: skip
def test_whatever_marks_missing_data_makes_them_nan_band_by_band(tmp_path, kind):
    path, holes = masked(tmp_path, kind)
    with open_raster(path) as raster:
        found = raster.read(raster.measured, WHOLE)
        part = raster.read(raster.measured[1:], Window(15, 5, 10, 10))
    np.testing.assert_array_equal(np.isnan(found), holes)
    np.testing.assert_array_equal(np.isnan(part[0]), holes[1, 15:25, 5:15])


@pytest.mark.parametrize(
    ("stored", "text"),
    [(-FLOAT_MAX, text) for text in ("-3.4028234663852886e+38", "-3.40282346639e+38", "-3.40282e+38", "-3.4028e+38",
                                     "-3.4e+38", "-3.4028230607370965e+38")]
    + [(FLOAT_MAX, "3.4028e+38"), (9.969209968386869e36, "9.96921e+36"), (1e20, "1e+20"), (-32767.9, "-32767.9"),
       (-2147483648.0, "-2.14748e+09"), (-9999.0, "-9999"), (0.1, "0.1"), (16777215.0, "1.67772e+07")],
)  # fmt: skip
def test_shortened_no_data_values_are_known(tmp_path, stored, text):
    values = ramp(2, ROWS, COLS)
    values[HOLES] = stored
    write_raster(tmp_path / "plain.tif", values, GRID)
    path = virtual(tmp_path / "a.vrt", "plain.tif", f"<NoDataValue>{text}</NoDataValue>")
    with open_raster(path) as raster:
        found = raster.read([1, 2], WHOLE)
    np.testing.assert_array_equal(np.isnan(found), HOLES)
    np.testing.assert_array_equal(found[~HOLES], values[~HOLES])


@pytest.mark.parametrize(
    ("kind", "stored", "text"),
    [("float32", -2147483648.0, "-2.14748e+09"), ("float32", 16777215.0, "1.67772e+07"),
     ("int16", -32768, "-3.277e+04"), ("uint16", 65535, "6.554e+04"), ("float32", -FLOAT_MAX, "-3.4028e+38"),
     ("float32", -9999.0, "-9999")],
)  # fmt: skip
def test_shortened_no_data_values_of_a_virtual_rasters_sources_are_known(tmp_path, kind, stored, text):
    values = np.round(20 * ramp(2, ROWS, COLS) + 500).astype(kind)
    values[HOLES] = stored
    write_raster(tmp_path / "plain.tif", values, GRID)
    path = tmp_path / "a.vrt"
    virtual(path, "plain.tif", "<NoDataValue>77</NoDataValue>")
    source = path.read_text().replace("SimpleSource>", "ComplexSource>")
    source = source.replace('dataType="Float32"', f'dataType="{GDAL_NAMES[kind]}"')
    path.write_text(source.replace("</SourceBand>", f"</SourceBand><NODATA>{text}</NODATA>"))
    with open_raster(path) as raster:
        found = raster.read([1, 2], WHOLE)
    np.testing.assert_array_equal(np.isnan(found), HOLES)
    np.testing.assert_array_equal(found[~HOLES], values[~HOLES])


@pytest.mark.parametrize(
    ("values", "nodata", "expected"),
    [
        (np.array([32767, 32766, 0], "i2"), 32770.0, [True, True, False]),
        (np.array([-32768, -32767, 0], "i2"), -32770.0, [True, True, False]),
        (np.array([65535, 65530, 0], "u2"), 65540.0, [True, False, False]),
        (np.array([2**31 - 1, 2**31 - 4000, 7], "i4"), 2.14748e9, [True, True, False]),
        (np.array([2**32 - 1, 2**32 - 2, 7], "u4"), 4.29497e9, [True, True, False]),
        (np.array([-12345, -12340], "i2"), -12340.0, [False, True]),
        (np.array([9999999, 9999998], "i4"), 9999999.0, [True, False]),
        (np.array([1000000, 1000001], "i4"), 1e6, [True, False]),
        (np.array([255, 254, 0], "u1"), 255.0, [True, False, False]),
        (np.array([-99.99, -99.98], "f4").astype("f8"), -99.99, [True, False]),
        (np.array([0.0, 1e-30, -1e-30], "f4"), 0.0, [True, False, False]),
    ],
)
def test_values_are_compared_as_files_keep_them(values, nodata, expected):
    np.testing.assert_array_equal(equals_nodata(values, nodata), expected)


@pytest.mark.parametrize(
    ("values", "nodata"),
    [(np.zeros(3, "u1"), -9999.0), (np.zeros(3, "u1"), 300.0), (np.zeros(3, "i2"), 0.5), (np.zeros(3, "i4"), np.nan),
     (np.zeros(3, "f4"), np.nan), (np.zeros(3, "f4"), None), (np.zeros(3, "u2"), -3.4e38)],
)  # fmt: skip
def test_a_value_that_the_type_cannot_hold_marks_nothing(values, nodata):
    assert equals_nodata(values, nodata) is None


@pytest.mark.parametrize(
    ("dtype", "stored", "text"),
    [("u2", 65535, "6.554e+04"), ("u4", 2**32 - 1, "4.29497e+09"), ("i2", -32768, "-32770")],
)
def test_a_shortened_value_beyond_the_type_is_known_where_rasterio_withholds_it(
    tmp_path, dtype, stored, text
):
    values = np.full((1, ROWS, COLS), 7, dtype)
    values[0, HOLES[0]] = stored
    write_raster(tmp_path / "plain.tif", values, GRID)
    with quiet_gdal():
        gdal.Translate(str(tmp_path / "a.vrt"), str(tmp_path / "plain.tif"), format="VRT")
    path = tmp_path / "a.vrt"
    path.write_text(
        path.read_text().replace("<ColorInterp>", f"<NoDataValue>{text}</NoDataValue><ColorInterp>", 1)
    )
    with open_raster(path) as raster:
        np.testing.assert_array_equal(np.isnan(raster.read([1], WHOLE)[0]), HOLES[0])


def test_no_data_is_compared_with_what_is_stored_before_scale_and_offset(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.array([[[0, 50, 20000]]], "u2"), affine_grid(1, 3), nodata=0)
    out = gdal.OpenEx(path, gdal.OF_RASTER | gdal.OF_UPDATE)
    out.GetRasterBand(1).SetScale(0.002)
    out.GetRasterBand(1).SetOffset(-0.1)  # 50 becomes 0, the very number that is not to be had
    out = None
    with open_raster(path) as raster:
        np.testing.assert_allclose(raster.read([1], Window(0, 0, 1, 3))[0, 0], [np.nan, 0.0, 39.9], atol=1e-6)


def test_an_alpha_band_is_no_channel(tmp_path):
    card = card_of([channel("hh", "sar"), channel("hv", "sar")])
    path, _ = masked(tmp_path, "last alpha float32")
    with open_raster(path) as raster:
        assert raster.measured == (1, 2)
        assert raster.describe_bands() == "band 1, band 2, band 3 (alpha)"
        chosen = choose_bands(card, [RasterRole(raster, "sar")])
        assert [chosen.bands[name].band for name in ("hh", "hv")] == [1, 2]
        assert chosen.by_order == ("hh", "hv")
        assert "no names" in chosen.warnings[0]
        with pytest.raises(ParameterError, match=r"band 3 of .* is its alpha band"):
            choose_bands(card, [RasterRole(raster, "sar")], "hh=1,hv=3")


@pytest.mark.parametrize("names", [["hh", "hv", "alpha"], ["hh", "hv", "dataMask"], []])
def test_the_second_band_of_an_image_with_alpha_is_a_measurement(tmp_path, names):
    """GDAL's ALPHA=YES marks the second band, and whoever made the file marks the last one."""
    bands = np.stack([*ramp(2, ROWS, COLS), MASKS[0]])
    path = write_raster(tmp_path / "a.tif", bands, GRID, names, photometric="minisblack", ALPHA="YES")
    out = gdal.OpenEx(path, gdal.OF_RASTER | gdal.OF_UPDATE)
    out.GetRasterBand(3).SetColorInterpretation(gdal.GCI_AlphaBand)
    assert out.GetRasterBand(2).GetColorInterpretation() == gdal.GCI_AlphaBand
    out = None
    with open_raster(path) as raster:
        assert raster.measured == (1, 2)
        found = raster.read([1, 2], WHOLE)
    np.testing.assert_array_equal(np.isnan(found), np.broadcast_to(HOLES[0], HOLES.shape))


def test_a_channel_that_is_marked_as_alpha_by_mistake_stays_a_channel(tmp_path):
    values = ramp(2, ROWS, COLS)
    path = write_raster(tmp_path / "a.tif", values, GRID, ["hh", "hv"], photometric="minisblack", ALPHA="YES")
    with open_raster(path) as raster:
        assert raster.measured == (1, 2)
        np.testing.assert_array_equal(raster.read([1, 2], WHOLE), values)


def test_labels_are_not_read_from_an_alpha_band(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.stack([MASKS[0], np.full_like(MASKS[0], 7)]), GRID)
    alone(path, 1)
    with LabelReader.open(path, GRID) as labels:
        found = labels.read(WHOLE)
    np.testing.assert_array_equal(np.isnan(found), HOLES[0])
    assert (found[~HOLES[0]] == 7).all()
