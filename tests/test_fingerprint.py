"""The fingerprint of results: equal for equal numbers however they are stored, another for any other bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from floelens.tools import digests, fingerprint
from floelens.tools.headless import ROOT
from osgeo import gdal


def raster(path: Path, values: np.ndarray, options: tuple[str, ...] = (), **tags: str) -> Path:
    made = gdal.GetDriverByName("GTiff").Create(
        str(path), values.shape[1], values.shape[0], 1, gdal.GDT_Float32, options=list(options)
    )
    made.SetMetadata(tags)
    made.GetRasterBand(1).SetDescription("hh")
    made.GetRasterBand(1).WriteArray(values)
    del made
    return path


VALUES = np.linspace(-30, 0, 12, dtype=np.float32).reshape(3, 4)


def test_compression_and_versions_make_no_other_fingerprint(tmp_path):
    one = raster(tmp_path / "one.tif", VALUES, FLOELENS_METHOD="gated", FLOELENS_VERSION_TORCH="1")
    other = raster(
        tmp_path / "other.tif",
        VALUES,
        ("COMPRESS=DEFLATE",),
        FLOELENS_VERSION_TORCH="2",
        FLOELENS_METHOD="gated",
    )
    assert one.read_bytes() != other.read_bytes()
    # What GDAL itself says of how it stored them, it keeps in other domains than that of tags.
    assert digests.digests(one) == digests.digests(other)


def test_one_bit_of_one_pixel_makes_another_fingerprint_of_its_band_alone(tmp_path):
    changed = VALUES.copy()
    changed[2, 1] = np.nextafter(changed[2, 1], np.float32(9))
    one = digests.digests(raster(tmp_path / "one.tif", VALUES))
    other = digests.digests(raster(tmp_path / "other.tif", changed))
    assert [name for name in one if one[name] != other[name]] == ["band hh"]


def test_minus_zero_and_nan_are_told_apart():
    found = {digests.digest(np.array([value], np.float32)) for value in (0.0, -0.0, np.nan)}
    assert len(found) == 3


@pytest.fixture
def two_runs(tmp_path):
    """Return two folders of a run, of which the second differs in a column and lacks a raster."""
    for name, net in (("before", "1.5"), ("after", "1.25")):
        case = tmp_path / name / "relevance" / "all"
        case.mkdir(parents=True)
        (case / "report.csv").write_text(f"channel,net\nhh,{net}\n", encoding="utf-8")
        (case / "report.json").write_text(json.dumps({"sensors": [{"name": "sar"}], "version": name}))
        if name == "before":
            raster(case / "sar.tif", VALUES)
        found = {
            f"{path.name}: {part}": value
            for path in sorted(case.iterdir())
            for part, value in digests.digests(path).items()
        }
        text = json.dumps({"relevance/all": found})
        (tmp_path / name / fingerprint.FILE).write_text(text, encoding="utf-8")
    return tmp_path / "before", tmp_path / "after"


def test_a_comparison_names_what_differs_and_by_how_much(two_runs, monkeypatch, capsys):
    before, after = map(str, two_runs)
    monkeypatch.setattr("sys.argv", ["fingerprint.py", "compare", before, after])
    assert fingerprint.main() == 1
    told = capsys.readouterr().out
    assert "report.csv: column net: 1 of 1 differ, at most by 0.25, 0.17 of the sum" in told
    assert "sar.tif: band hh: only before" in told
    assert "version" not in told
    assert "channel" not in told
    monkeypatch.setattr("sys.argv", ["fingerprint.py", "compare", before, before])
    assert fingerprint.main() == 0


def test_every_case_is_a_job_of_today_under_a_name_of_its_own(tmp_path):
    scenes = tmp_path / "scenes"
    for case in fingerprint.simulations():
        fingerprint.fingerprint(case, scenes / case.name.split("/")[1])
    shutil.copytree(scenes / "gcps", scenes / "real")
    found = list(fingerprint.cases(scenes, ROOT / "models", None))
    assert len({case.name for case in found}) == len(found)
    for case in found:
        case.job(tmp_path)
    algorithms = {case.name.split("/")[0] for case in found}
    known = {path.stem for path in (ROOT / "plugin" / "algorithms").glob("*.py")}
    assert algorithms == known & {*algorithms, "predict", "relevance", "contributions", "ablation", "zscores"}
