"""CSV, its field types, and JSON."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from floelens.plugin.report.page.tables import csv_text, csvt_text, json_text

COLUMNS = ("name", "n", "z")
ROWS = [
    {"name": 'a "quoted", name', "n": 3, "z": 0.1 + 0.2},
    {"name": "", "n": None, "z": None},
    {"name": "line\nbreak", "n": np.int64(5), "z": np.float64(1e-300)},
    {"name": "not a number", "z": np.nan},
]


def test_numbers_keep_nine_digits_and_blanks_stay_blank():
    read = list(csv.DictReader(io.StringIO(csv_text(COLUMNS, ROWS))))
    assert [row["name"] for row in read] == [row["name"] for row in ROWS]
    assert [row["n"] for row in read] == ["3", "", "5", ""]
    assert float(read[0]["z"]) == 0.3
    assert float(read[2]["z"]) == 1e-300
    assert read[1]["z"] == ""
    assert read[3]["z"] == ""


def test_gdal_reads_the_field_types(tmp_path):
    ogr = pytest.importorskip("osgeo.ogr", reason="GDAL's Python bindings read the table here")
    rows = [{"name": "7", "n": 2**40, "z": None}, {"name": "8", "n": 1, "z": 2}]
    (tmp_path / "table.csv").write_text(csv_text(COLUMNS, rows))
    (tmp_path / "table.csvt").write_text(csvt_text(COLUMNS, {"name": "String", "n": "Integer64"}))
    source = ogr.Open(str(tmp_path / "table.csv"))
    layer = source.GetLayer(0)
    definition = layer.GetLayerDefn()
    types = [definition.GetFieldDefn(i).GetType() for i in range(3)]
    assert types == [ogr.OFTString, ogr.OFTInteger64, ogr.OFTReal]
    first = layer.GetNextFeature()
    assert first.GetField("n") == 2**40
    assert first.GetField("name") == "7"
    assert first.GetField("z") in (None, 0.0)
    assert not first.IsFieldSetAndNotNull("z")


def test_json_holds_plain_values_only():
    text = json_text(
        {"a": np.array([1.0, np.nan]), "b": (np.int32(2), True, None), "c": float("inf"), "d": "ä"}
    )
    assert json.loads(text) == {"a": [1.0, None], "b": [2, True, None], "c": None, "d": "ä"}
    assert "NaN" not in text
    assert "ä" in text
