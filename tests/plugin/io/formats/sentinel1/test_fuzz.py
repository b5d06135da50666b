"""Whatever bytes a product is made of, it is read or refused with one of our sentences, and soon."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from floelens.plugin.ground.errors import FloeLensError
from floelens.plugin.ground.window import Window
from floelens.plugin.io.environment.gdal_state import quiet_gdal
from floelens.plugin.io.formats.product import ImportOptions
from floelens.plugin.io.formats.sentinel1 import open_sentinel1, recognises
from floelens.tests.plugin.io.formats.sentinel1.safe import make_safe, zip_safe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROWS, COLS = 16, 20
LONGEST = 10.0
"""Seconds of the processor: those of the clock count what else the machine does."""
SETTINGS = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}

# Replace, insert or delete a few bytes at a share of the file's length.
EDITS = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 12),
        st.one_of(
            st.binary(max_size=8),
            st.sampled_from(
                [
                    b"0",
                    b"-1",
                    b"1e999",
                    b"nan",
                    b"99999999999",
                    b"<",
                    b"</",
                    b"&x;",
                    b"../",
                    b"\0",
                    b"\xff\xfe",
                    b" ",
                ]
            ),
        ),
    ),
    min_size=1,
    max_size=4,
)


def edited(data: bytes, edits) -> bytes:
    for place, removed, added in edits:
        at = int(place * len(data))
        data = data[:at] + added + data[at + removed :]
    return data


def attempt(path: Path) -> bool:
    """Open and read a product; return whether it could be. Any error but ours fails the test."""
    start = time.process_time()
    try:
        with quiet_gdal():
            recognises(str(path))
            with open_sentinel1(str(path), ImportOptions()) as product:
                raster = product.rasters["sar"]
                raster.read(Window(0, 0, min(ROWS, raster.grid.rows), min(COLS, raster.grid.cols)))
        return True
    except FloeLensError as error:
        assert str(error)
        return False
    finally:
        assert time.process_time() - start < LONGEST


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Return a small folder, its zip, and the bytes of each of its files."""
    folder = tmp_path_factory.mktemp("fuzz")
    manifest = make_safe(folder, rows=ROWS, cols=COLS, pols=("hh",))
    packed = zip_safe(manifest, folder / "product.zip")
    files = sorted(path for path in manifest.parent.rglob("*") if path.is_file())
    assert attempt(manifest)
    assert attempt(packed)
    return manifest, packed, {path: path.read_bytes() for path in files}


def fuzz_a_file(products, which: int, edits) -> None:
    manifest, _, files = products
    path, data = list(files.items())[which % len(files)]
    path.write_bytes(edited(data, edits))
    try:
        attempt(manifest)
    finally:
        path.write_bytes(data)


def fuzz_the_zip(products, edits) -> None:
    _, packed, _ = products
    broken = packed.with_name("broken.zip")
    broken.write_bytes(edited(packed.read_bytes(), edits))
    attempt(broken)


@settings(max_examples=60, **SETTINGS)
@given(which=st.integers(0, 4), edits=EDITS)
def test_broken_files_get_a_sentence(products, which, edits):
    fuzz_a_file(products, which, edits)


@settings(max_examples=50, **SETTINGS)
@given(edits=EDITS)
def test_broken_zips_get_a_sentence(products, edits):
    fuzz_the_zip(products, edits)


@settings(max_examples=60, **SETTINGS)
@given(data=st.binary(max_size=200))
def test_any_bytes_get_a_sentence(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp() / "bytes"
    folder.mkdir(exist_ok=True)
    for head in (b"", b"PK\x03\x04", b"<xfdu:XFDU xmlns:safe='http://www.esa.int/safe/sentinel-1.0'>"):
        (folder / "manifest.safe").write_bytes(head + data)
        assert not attempt(folder / "manifest.safe")
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(max_examples=8000, **SETTINGS)
@given(which=st.integers(0, 4), edits=EDITS)
def test_many_broken_files_get_a_sentence(products, which, edits):
    fuzz_a_file(products, which, edits)


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@settings(max_examples=4000, **SETTINGS)
@given(edits=EDITS)
def test_many_broken_zips_get_a_sentence(products, edits):
    fuzz_the_zip(products, edits)
