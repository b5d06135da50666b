"""Folders for a step of a run go with it, and with the next one where it was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from floelens.plugin.io.transaction.scratch import scratch_folder
from floelens.tools.headless import ROOT

# Makes a folder, writes to it, says so, and waits to be killed.
SCRIPT = """
import importlib.util, sys, tempfile
root, tempfile.tempdir = sys.argv[1:]
spec = importlib.util.spec_from_file_location("floelens", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["floelens"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["floelens"])
from floelens.plugin.io.transaction.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "chart.tif").write_text("half")
    print("made", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Return the folder of temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_of_a_killed_run_goes_and_that_of_one_that_lives_stays(place):
    command = [sys.executable, "-c", SCRIPT, str(ROOT), str(place)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout.readline() == "made\n"
        (theirs,) = place.iterdir()
        with scratch_folder() as folder:
            assert set(place.iterdir()) == {theirs, folder}
        assert (theirs / "chart.tif").read_text() == "half"
        other.kill()
    with scratch_folder() as folder:
        assert list(place.iterdir()) == [folder]
    assert list(place.iterdir()) == []


def test_a_folder_without_a_run_file_is_spared_for_a_day_and_other_folders_for_ever(place):
    mine, foreign = place / "floelens-0123ab-77-01234567", place / "floelens-notes"
    mine.mkdir()
    foreign.mkdir()
    with scratch_folder():
        assert mine.is_dir()
    for folder in (mine, foreign):
        os.utime(folder, (time.time() - 2e5,) * 2)
    with scratch_folder():
        assert not mine.exists()
        assert foreign.is_dir()
