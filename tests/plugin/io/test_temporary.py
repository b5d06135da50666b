"""Files appear complete or not at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from floelens.plugin.core.errors import Cancelled, OutputError
from floelens.plugin.io.temporary import Together, atomic_path, atomic_text, sweep, temporary_name


def test_a_text_appears_when_it_is_complete(tmp_path):
    with atomic_text(tmp_path / "a.csv") as file:
        file.write("ä,b\n")
        assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "a.csv").read_bytes() == "ä,b\n".encode()
    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_file_replaces_the_old_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
        assert (tmp_path / "a.txt").read_text() == "old"
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize("error", [Cancelled("stop"), ValueError("bug")])
def test_an_error_leaves_nothing_and_goes_through(tmp_path, error):
    with pytest.raises(type(error)), atomic_text(tmp_path / "a.txt") as file:
        file.write("half")
        raise error
    assert os.listdir(tmp_path) == []


def test_an_error_of_the_system_becomes_a_sentence(tmp_path):
    with (
        pytest.raises(OutputError, match=r"a\.txt could not be written .*No space"),
        atomic_path(tmp_path / "a.txt"),
    ):
        raise OSError(28, "No space left on device")


def test_a_full_disk_at_the_last_flush_is_noticed(tmp_path):
    resource = pytest.importorskip("resource", reason="limits of file sizes need POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with (
            pytest.raises(OutputError, match="Check that the disk has room"),
            atomic_text(tmp_path / "a.txt") as file,
        ):
            file.write("x" * 2000)  # stays in the buffer until the file is closed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="Nothing was written"), atomic_path(tmp_path / "a.txt"):
        pass


def test_a_missing_folder_is_a_sentence(tmp_path):
    with pytest.raises(OutputError, match="does not exist"), atomic_text(tmp_path / "no" / "a.txt"):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="a superuser may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written to"), atomic_text(tmp_path / "a.txt"):
            pass
    finally:
        tmp_path.chmod(0o700)


def test_temporary_files_keep_the_extension_and_are_hidden(tmp_path):
    name = temporary_name(tmp_path / ("very long " * 30 + ".gpkg")).name
    assert name.startswith(".")
    assert name.endswith(".floelens-tmp.gpkg")
    assert len(name) < 200


def test_leftovers_of_a_killed_process_are_swept_and_others_spared(tmp_path):
    code = (
        "import os; from pathlib import Path; from floelens.plugin.io.temporary import temporary_name;"
        f"temporary_name(Path({str(tmp_path)!r}) / 'a.tif').write_text('half');"
        "os._exit(9)"
    )
    root = os.path.dirname(os.path.dirname(sys.modules["floelens"].__file__))
    here = os.path.dirname(sys.modules["floelens"].__file__)
    prelude = (
        "import importlib.util, sys;"
        f"s = importlib.util.spec_from_file_location('floelens', {here!r} + '/__init__.py', "
        f"submodule_search_locations=[{here!r}]);"
        "m = importlib.util.module_from_spec(s); sys.modules['floelens'] = m; s.loader.exec_module(m);"
    )
    subprocess.run([sys.executable, "-c", prelude + code], check=False, cwd=root)
    assert len(os.listdir(tmp_path)) == 1
    mine = temporary_name(tmp_path / "b.tif")
    mine.write_text("under way")
    old = tmp_path / ".c.abcdef-1-01234567.floelens-tmp.tif"  # of another machine
    old.write_text("old")
    os.utime(old, (0, 0))
    young = tmp_path / ".d.abcdef-1-01234567.floelens-tmp.tif"
    young.write_text("of another machine, perhaps alive")
    other = tmp_path / ".someone.else.tmp"
    other.write_text("not ours")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([mine.name, young.name, other.name])


def test_files_of_a_run_appear_together(tmp_path):
    with Together() as together:
        together.file(tmp_path / "a").write_text("a")
        together.file(tmp_path / "b").write_text("b")
        assert all(name.startswith(".") for name in os.listdir(tmp_path))
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
