"""What a worker of pytest-xdist has measured is saved before it ends."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from floelens.tests.conftest import save_coverage


def test_coverage_is_saved_once_where_it_is_measured_and_nothing_happens_where_it_is_not(monkeypatch):
    done = []
    measured = SimpleNamespace(stop=lambda: done.append("stop"), save=lambda: done.append("save"))
    for current in (measured, None):
        coverage = SimpleNamespace(Coverage=SimpleNamespace(current=lambda current=current: current))
        monkeypatch.setitem(sys.modules, "coverage", coverage)
        save_coverage()
    monkeypatch.delitem(sys.modules, "coverage")
    save_coverage()
    assert done == ["stop", "save"]
