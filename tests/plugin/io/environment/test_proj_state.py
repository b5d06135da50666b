"""PROJ fetches no grids for a run, whatever the user's settings, and these are as before afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import floelens
import pytest
from floelens.tests.plugin.io.listener import listening

# NAD27 to WGS 84 has grids on a server, over Pennsylvania; GDAL's own warp of a virtual raster asks for them too.
_RUN = """
import importlib.util, json, sys
from pathlib import Path
root, folder, guarded = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "guarded"
spec = importlib.util.spec_from_file_location("floelens", root / "__init__.py", submodule_search_locations=[str(root)])
sys.modules["floelens"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
import contextlib
import numpy as np, pyproj, pyproj.network
from osgeo import gdal, osr
from floelens.plugin.networks.standard_channels import standard_channels
from floelens.plugin.io.environment import proj_state
from floelens.plugin.io.geometry.grid import Grid
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.scene.reader import Scene
from floelens.plugin.io.geometry.vector import Polygons
from floelens.tests.plugin.io.rasters import card_of, write_raster
if not guarded:
    proj_state._GDAL.off = proj_state._PYPROJ.off = contextlib.nullcontext
draw = np.random.default_rng(1)
nad27, wgs84 = (pyproj.CRS(code).to_wkt() for code in (4267, 4326))
fine = Grid(60, 60, nad27, transform=(0.001, 0, -80, 0, -0.001, 40))
coarse = Grid(12, 12, wgs84, transform=(0.01, 0, -80.03, 0, -0.01, 40.03))
sar = write_raster(folder / "sar.tif", draw.normal(-14, 3, (1, 60, 60)).astype("f4"), fine, ["hh"])
mwr = write_raster(folder / "mwr.tif", draw.normal(200, 3, (1, 12, 12)).astype("f4"), coarse, ["btemp_6_9h"])
options = gdal.WarpOptions(format="VRT", srcSRS="EPSG:4267", dstSRS="EPSG:4326")
virtual = str(folder / "warped.vrt")
with proj_state.offline_gdal_proj():
    gdal.Warp(virtual, sar, options=options)
before = pyproj.network.is_network_enabled(), osr.GetPROJEnableNetwork()
found = []
try:
    region = Polygons.rectangle(-79.99, 39.96, -79.96, 39.99, "EPSG:4326")
    with Scene.open(card_of(standard_channels(("hh", "btemp_6_9h"), 10)), sar, mwr, region=region) as scene:
        found.append(bool(scene.read(scene.region.__class__(0, 0, 60, 60)).valid.any()))
    with open_raster(virtual) as raster:
        found.append(bool(np.isfinite(raster.read([1], scene.region)).any()))
except Exception as error:
    found.append(repr(error))
print(json.dumps([found, before, [pyproj.network.is_network_enabled(), osr.GetPROJEnableNetwork()]]))
"""


def run(folder: Path, how: str) -> tuple[list, list[str]]:
    """Return what a process printed that has PROJ's network switched on, and what it asked a server for."""
    with listening(folder) as listener:
        variables = {
            **os.environ,
            "PROJ_NETWORK": "ON",
            "PROJ_NETWORK_ENDPOINT": listener.url,
            "PROJ_USER_WRITABLE_DIRECTORY": str(folder),
        }
        root = str(Path(floelens.__file__).parent)
        command = [sys.executable, "-c", _RUN, root, str(folder), how]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=variables, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]), listener.requests


def test_a_scene_in_another_datum_is_read_without_a_server(tmp_path):
    (found, before, after), requests = run(tmp_path, "guarded")
    assert requests == []
    assert found == [True, True]
    assert before == after == [True, True]


def test_without_the_guard_the_server_would_be_asked(tmp_path):
    assert run(tmp_path, "open")[1]


def test_the_setting_comes_back_when_the_last_of_several_blocks_ends():
    from floelens.plugin.io.environment.proj_state import _Switch

    state = [True]
    switch = _Switch(lambda: state[0], lambda on: state.__setitem__(0, on))
    inside, leave = threading.Event(), threading.Event()

    def other():
        with switch.off():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with switch.off():
        thread.start()
        inside.wait()
        assert not state[0]
    assert not state[0]
    leave.set()
    thread.join()
    assert state[0]
    with pytest.raises(ValueError, match="x"), switch.off():
        raise ValueError("x")
    assert state[0]
