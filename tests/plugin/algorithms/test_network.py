"""No algorithm calls a server, whatever file is given for whichever parameter."""

from __future__ import annotations

import zipfile
from itertools import cycle, islice

import numpy as np
import pytest
from floelens.plugin.algorithms.framework.parameter_values import names_remote
from floelens.tests.plugin.conftest import write_raster
from floelens.tests.plugin.io.hostile import bad_json, bad_sidecars, bad_virtual, write_services
from floelens.tests.plugin.io.listener import listening
from osgeo import gdal


def hostile_files(folder, url: str) -> list[str]:
    """Write files of every kind that lead elsewhere; return their paths."""
    texts = bad_virtual(folder, url)
    paths = []
    for kind in ("vsicurl", "http", "service", "nested", "python", "warped"):
        paths.append(folder / f"{kind}.vrt")
        paths[-1].write_text(texts[kind])
    paths += [*write_services(folder, url), *bad_sidecars(folder, url).values(), *bad_json(folder, url)]
    return [str(path) for path in paths]


def file_parameters(algorithm) -> list:
    """Return the parameters of an algorithm that a file may be given for, results aside."""
    kinds = ("raster", "multilayer", "source", "layer", "extent", "file", "vector")
    return [d for d in algorithm.parameterDefinitions() if not d.isDestination() and d.type() in kinds]


def given_for(definition, path: str):
    """Return a value of a parameter that names a file."""
    return [path] if definition.type() == "multilayer" else path


def test_every_algorithm_refuses_hostile_files_and_calls_nobody(tmp_path, provider, context, backscatter):
    from qgis.core import QgsProcessingFeedback

    asked = set()
    with listening(tmp_path) as listener:
        turns = cycle(hostile_files(tmp_path, listener.url))
        for algorithm in provider.algorithms():
            for definition in file_parameters(algorithm):
                for path in islice(turns, 3):
                    parameters = {definition.name(): given_for(definition, path)}
                    if algorithm.parameterDefinition("SAR") and definition.name() != "SAR":
                        parameters["SAR"] = str(backscatter)
                    _, accepted = algorithm.create().run(parameters, context, QgsProcessingFeedback())
                    assert not accepted, (algorithm.id(), definition.name(), path)
                    asked.add(definition.name())
        assert listener.requests == []
    assert {"SAR", "MWR", "ANCILLARY", "LAND", "LABELS", "ZONES", "AOI", "EXTENT", "INPUT", "SCENE", "BASELINE_SAR",
            "CONCENTRATION"} <= asked  # fmt: skip


def test_what_qgis_would_open_itself_is_judged_before(tmp_path, provider, context):
    """QGIS opens what a parameter names with all of GDAL's drivers, and fetches by itself."""
    with listening(tmp_path) as listener:
        paths = hostile_files(tmp_path, listener.url)
        named = [
            tmp_path / "named.tif",
            tmp_path / "named inside.tif",
        ]  # overviews by name, in PAM and in the file
        for path in named:
            write_raster(path, {"hh": np.zeros((8, 8), "f4")})
        wmts = str(tmp_path / "wmts.tif")
        (tmp_path / "named.tif.aux.xml").write_text(
            "<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>"
            + wmts
            + "</MDI></Metadata></PAMDataset>"
        )
        inside = gdal.OpenEx(str(named[1]), gdal.OF_RASTER | gdal.OF_UPDATE)
        inside.SetMetadataItem("OVERVIEW_FILE", wmts, "OVERVIEWS")
        inside = None
        double = tmp_path / "double.img"  # ENVI by its header, a map service by its content
        double.write_text((tmp_path / "wmts.tif").read_text().ljust(4096))
        double.with_suffix(".hdr").write_text("ENVI\nsamples = 8\nlines = 8\nbands = 1\ndata type = 1\n")
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(wmts, "a.tif")
        texts = [
            f"/vsizip/{tmp_path}/a.zip/a.tif",
            (tmp_path / "wmts.tif").read_text(),
            (tmp_path / "http.vrt").read_text(),
        ]
        paths = [*map(str, named), str(double), *texts, *paths]
        for name, parameter in (
            ("predict", "SAR"),
            ("predict", "LAND"),
            ("predict", "EXTENT"),
            ("relevance", "AOI"),
        ):
            for path in paths:
                algorithm = provider.algorithm(name).create()
                accepted, message = algorithm.checkParameterValues({parameter: path}, context)
                assert not accepted, (parameter, path)
                assert message.startswith(f"{parameter}: "), (parameter, path, message)
                assert len(message) < 500, message
        assert listener.requests == []


@pytest.mark.parametrize("value", ["/vsicurl/http://a/b.tif", ["x.tif", "/vsis3/b/c.tif"]])
def test_a_file_that_a_person_names_elsewhere_is_known(context, value):
    assert names_remote(value, context)


def test_ordinary_values_name_nothing_elsewhere(tmp_path, context):
    sar = write_raster(tmp_path / "a.tif", {"hh": np.zeros((4, 4), "f4")})
    assert not any(names_remote(value, context) for value in (str(sar), [str(sar)], "1,2,3,4", 7, None, True))
