"""The windows run under Qt 6, and no name of an enum is written without its scope, which Qt 6 no longer takes."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from floelens.tools.headless import ROOT

SCRIPT = Path(__file__).with_name("qt6_trial.py")
LIBRARIES = ROOT / "build" / "qt6"


def unscoped(source: str) -> list[str]:
    """Return each ``Class.Value`` of QGIS or Qt in a module whose value belongs to an enum of its own."""
    if "from qgis." not in source:
        return []
    tree, roots = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qgis.") and not node.level:
            module = importlib.import_module(node.module)
            for alias in node.names:
                roots[alias.asname or alias.name] = getattr(module, alias.name, None)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in roots:
            value = getattr(roots[node.value.id], node.attr, None)
            if isinstance(value, int) and type(value) not in (int, bool):
                found.append(f"{node.lineno}: {node.value.id}.{node.attr}")
    return found


def test_every_enum_is_written_with_its_scope(qgis_processing):
    found = {
        f"{path.relative_to(ROOT)}:{name}"
        for path in (ROOT / "plugin").rglob("*.py")
        for name in unscoped(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_an_enum_without_its_scope_is_found(qgis_processing):
    source = "from qgis.core import QgsWkbTypes as W\nfrom qgis.PyQt.QtCore import Qt\n"
    assert unscoped(source + "a = Qt.AlignLeft\nb = W.Point\nc = Qt.AlignmentFlag.AlignLeft\n") == [
        "3: Qt.AlignLeft",
        "4: W.Point",
    ]


def test_windows_map_tool_and_plugin_work_under_qt_6():
    if not (LIBRARIES / "PyQt6").is_dir():
        pytest.skip("PyQt6 is not installed: run make test-qt6")
    paths = os.pathsep.join([str(LIBRARIES), sysconfig.get_path("purelib")])
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(ROOT)],
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "QT_QPA_PLATFORM": "offscreen",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "well" in done.stdout
