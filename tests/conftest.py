"""Registers the checkout as the package ``floelens``, so that tests import what ships."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared" / "data"

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

if "floelens" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "floelens", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["floelens"] = package
    spec.loader.exec_module(package)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data, or skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip("the folder of real data (shared/data beside the project) is not here")
    return DATA
