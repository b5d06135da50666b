"""Registers the checkout as the package ``floelens``, so that tests import what ships."""

from __future__ import annotations

import importlib.util
import os
import shutil
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

from floelens.tools.headless import HeadlessQgis  # noqa: E402  (the package is registered above)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data, or skip where it is absent."""
    if not DATA.is_dir():
        pytest.skip("the folder of real data (shared/data beside the project) is not here")
    return DATA


@pytest.fixture(scope="session")
def plugin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds this checkout as the plugin ``floelens``."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "floelens").symlink_to(ROOT)
    return folder


@pytest.fixture(scope="session")
def qgis_process(tmp_path_factory: pytest.TempPathFactory, plugin_folder: Path) -> HeadlessQgis:
    """Return a QGIS with an empty profile of its own in which FloeLens is enabled.

    ``qgis_process.run("floelens:predict", SAR=..., OUTPUT=...)`` runs an algorithm in a process of
    its own; :func:`floelens.tools.headless.results` reads what it returned.
    """
    if shutil.which("qgis_process") is None and shutil.which("qgis_process.bin") is None:
        pytest.skip("qgis_process is not installed")
    measured = "COVERAGE_PROCESS_START" in os.environ  # then its libraries come first of PYTHONPATH
    shadows = [Path(os.environ["PYTHONPATH"])] if measured else []
    profile = tmp_path_factory.mktemp("profile")
    qgis = HeadlessQgis(profile=profile, plugins=plugin_folder, shadows=shadows)
    qgis.enable("floelens")
    return qgis


EXIT_STATUS = pytest.StashKey[int]()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the result for :func:`pytest_unconfigure`; save what a worker has measured."""
    session.config.stash[EXIT_STATUS] = int(exitstatus)
    if hasattr(session.config, "workerinput"):
        save_coverage()


def save_coverage() -> None:
    """Write the coverage that this process has measured, if any, and measure no more.

    By itself coverage writes it when the interpreter ends. A worker in which QGIS ran may not come so far: Qt can end
    it first, and pytest-xdist kills a worker that takes more than ten seconds.
    """
    measuring = sys.modules.get("coverage")
    measured = measuring.Coverage.current() if measuring is not None else None
    if measured is not None:
        measured.stop()
        measured.save()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """End the process with the result of the tests, where QGIS was in it.

    All is reported and cleaned up here. What would come is the interpreter's own end, in which Qt and
    QGIS objects are destroyed in no certain order: now and then a segmentation fault, which would
    stand in for the result.
    """
    a_worker = hasattr(config, "workerinput")  # it has still to tell the process that gathers the results
    if a_worker or "qgis.core" not in sys.modules or EXIT_STATUS not in config.stash:
        return
    config.get_terminal_writer().flush()
    sys.__stdout__.flush()
    sys.__stderr__.flush()
    os._exit(config.stash[EXIT_STATUS])
