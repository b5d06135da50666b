"""Names of the files that are written beside others."""

from __future__ import annotations

import pytest
from floelens.plugin.algorithms.framework.destinations import clash, report_companions


@pytest.mark.parametrize(
    ("report", "companions"),
    [
        ("/d/ice.html", ("/d/ice_report.json", "/d/ice_report.csv")),
        ("/d/Report of ice.html", ("/d/Report of ice.json", "/d/Report of ice.csv")),
        ("/d/report.2021.html", ("/d/report.2021.json", "/d/report.2021.csv")),
        ("/report/a.html", ("/report/a_report.json", "/report/a_report.csv")),
    ],
)
def test_a_report_is_accompanied_by_its_content(report, companions):
    assert report_companions(report) == companions


def test_a_table_and_a_report_of_the_same_name_do_not_collide():
    as_json, as_csv = report_companions("/d/zscores.html")
    written = {"OUTPUT": "/d/zscores.csv", "REPORT": "/d/zscores.html", "REPORT_CSV": as_csv}
    assert clash({**written, "REPORT_JSON": as_json}) is None


def test_the_same_file_under_two_spellings_is_one_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    problem = clash({"A": str(tmp_path / "x.tif"), "B": str(tmp_path / "link" / "." / "x.tif")})
    assert problem.startswith("B and A are the same file")


def test_results_that_would_share_a_style_are_told_apart():
    problem = clash({"OUTPUT": "/d/ice.tif", "ZONE_ZSCORES": "/d/ice.gpkg"})
    assert problem.startswith("ZONE_ZSCORES and OUTPUT would share one style file, /d/ice.qml")
    assert clash({"OUTPUT": "/d/ice.csv", "ZONE_ZSCORES": "/d/ice.gpkg"}) is None
    assert clash({"OUTPUT": "/d/zones.tif"}, ["/d/zones.gpkg"]).startswith("OUTPUT and an input would share")
