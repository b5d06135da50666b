"""Files appear complete or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from floelens.plugin.ground.errors import Cancelled, OutputError
from floelens.plugin.io.transaction import run_files
from floelens.plugin.io.transaction.leftovers import COMMIT_LOCK, clear
from floelens.plugin.io.transaction.locks import exclusive
from floelens.plugin.io.transaction.outputs import OutputTransaction, atomic_path, atomic_text
from floelens.plugin.io.transaction.replacement import to_record
from floelens.plugin.io.transaction.temporary import host, temporary_name
from floelens.tests.plugin.jobs.conftest import Recorder


def test_a_text_appears_when_it_is_complete(tmp_path):
    with atomic_text(tmp_path / "a.csv") as file:
        file.write("ä,b\n")
        assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "a.csv").read_bytes() == "ä,b\n".encode()
    assert names_in(tmp_path) == ["a.csv"]


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
    assert names_in(tmp_path) == []


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
    assert names_in(tmp_path) == []


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


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_temporary_files_keep_the_extension_and_are_hidden(tmp_path):
    name = temporary_name(tmp_path / ("very long " * 30 + ".gpkg")).name
    assert name.startswith(".")
    assert name.endswith(".floelens-tmp.gpkg")
    assert len(name) < 200


def test_leftovers_of_a_killed_process_are_swept_and_others_spared(tmp_path):
    code = (
        "import os; from pathlib import Path; from floelens.plugin.io.transaction.temporary import temporary_name;"
        f"temporary_name(Path({str(tmp_path)!r}) / 'a.tif').write_text('half');"
        "os._exit(9)"
    )
    root = Path(sys.modules["floelens"].__file__).parents[1]
    here = str(Path(sys.modules["floelens"].__file__).parent)
    prelude = (
        "import importlib.util, sys;"
        f"s = importlib.util.spec_from_file_location('floelens', {here!r} + '/__init__.py', "
        f"submodule_search_locations=[{here!r}]);"
        "m = importlib.util.module_from_spec(s); sys.modules['floelens'] = m; s.loader.exec_module(m);"
    )
    subprocess.run([sys.executable, "-c", prelude + code], check=False, cwd=root)
    assert len(names_in(tmp_path)) == 1
    mine = temporary_name(tmp_path / "b.tif")
    mine.write_text("under way")
    old = tmp_path / ".c.abcdef-1-01234567.floelens-tmp.tif"  # of another machine
    old.write_text("old")
    os.utime(old, (0, 0))
    young = tmp_path / ".d.abcdef-1-01234567.floelens-tmp.tif"
    young.write_text("of another machine, perhaps alive")
    other = tmp_path / ".someone.else.tmp"
    other.write_text("not ours")
    clear(tmp_path)
    assert names_in(tmp_path) == sorted([mine.name, young.name, other.name])


def test_files_of_a_run_appear_together(tmp_path):
    with OutputTransaction() as outputs:
        outputs.file(tmp_path / "a").write_text("a")
        outputs.file(tmp_path / "b").write_text("b")
        assert all(name.startswith(".") for name in names_in(tmp_path))
    assert names_in(tmp_path) == ["a", "b"]


def replace_both(folder, text="new"):
    with OutputTransaction() as outputs:
        for name in ("a.csv", "b.csv"):
            outputs.file(folder / name).write_text(text)


def contents(folder):
    return {name: (folder / name).read_text() for name in names_in(folder)}


@pytest.mark.parametrize("refused", ["os.rename", "os.replace"])
def test_a_file_that_another_program_holds_open_is_named_and_nothing_is_replaced(
    tmp_path, monkeypatch, refused
):
    replace_both(tmp_path, "old")
    monkeypatch.setattr(os, "link", lambda *_, **__: (_ for _ in ()).throw(OSError(1, "no links")))
    name = refused.split(".")[1]
    work = getattr(os, name)

    def held_open(source, target):
        names = str(source), str(target)
        if names[0].endswith("b.csv") or (names[1].endswith("b.csv") and "floelens-tmp" in names[0]):
            raise PermissionError(13, "used by another process", names[0], None, names[1])
        work(source, target)

    with (
        monkeypatch.context() as patch,
        pytest.raises(OutputError, match=r"b\.csv cannot be replaced .* nothing was replaced"),
    ):
        patch.setattr(os, name, held_open)
        replace_both(tmp_path)
    assert contents(tmp_path) == {"a.csv": "old", "b.csv": "old"}


def test_a_run_that_lives_is_spared_also_in_the_same_process(tmp_path):
    with OutputTransaction() as one:
        one.file(tmp_path / "a.csv").write_text("of one")
        replace_both(tmp_path, "of another")
        clear(tmp_path)
        assert contents(tmp_path)["a.csv"] == "of another"
    assert contents(tmp_path) == {"a.csv": "of one", "b.csv": "of another"}


def test_a_run_that_is_replacing_is_waited_for_and_then_told(tmp_path, monkeypatch):
    monkeypatch.setattr("floelens.plugin.io.transaction.outputs._WAIT", 0.05)
    with (
        exclusive(tmp_path / COMMIT_LOCK, 0.0) as held,
        pytest.raises(OutputError, match="Another run of FloeLens is still replacing files"),
    ):
        assert held
        replace_both(tmp_path)
    assert contents(tmp_path) == {}


def killed_while_replacing(folder, content="old"):
    """Leave what a run leaves that is killed between two of its renamings."""
    replace_both(folder, content)
    os.utime(folder / "b.csv", (1e9, 1e9))
    outputs = OutputTransaction()
    for name in ("a.csv", "b.csv"):
        outputs.file(folder / name).write_text("new content")
    entries = outputs._planned([])
    main = next(iter(outputs._run_files))
    outputs._run_files[main].append({"replace": to_record(entries, main)})
    for entry in entries:
        entry.set_aside()
    entries[0].put()
    outputs._abandon()  # closes the file, as the end of the process does


def test_what_was_changed_after_the_kill_is_kept_under_another_name(tmp_path):
    killed_while_replacing(tmp_path)
    (tmp_path / "b.csv").unlink()
    (tmp_path / "b.csv").write_text("written by hand")
    (sentence,) = clear(tmp_path)
    files = contents(tmp_path)
    (kept,) = (name for name in files if "kept" in name)
    assert files == {"a.csv": "new content", "b.csv": "new content", kept: "written by hand"}
    assert kept in sentence


def test_new_files_that_were_removed_bring_the_earlier_ones_back(tmp_path):
    killed_while_replacing(tmp_path)
    for file in tmp_path.glob(".b.*floelens-tmp*"):
        file.unlink()
    (sentence,) = clear(tmp_path)
    assert "the earlier files stand there again" in sentence
    assert contents(tmp_path) == {"a.csv": "old", "b.csv": "old"}


def test_who_is_killed_while_mending_leaves_the_sentence_to_the_next(tmp_path):
    killed_while_replacing(tmp_path)
    heard: list[str] = []

    def killed(sentence: str) -> None:
        heard.append(sentence)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clear(tmp_path, say=killed)
    said: list[str] = []
    assert clear(tmp_path, say=said.append) == said == heard
    assert "now all have their names" in said[0]
    assert contents(tmp_path) == {"a.csv": "new content", "b.csv": "new content"}
    assert clear(tmp_path) == []


def test_a_folder_that_was_moved_is_mended_where_it_is_now(tmp_path):
    (tmp_path / "before").mkdir()
    killed_while_replacing(tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    assert len(clear(tmp_path / "after")) == 1
    assert set(contents(tmp_path / "after").values()) == {"new content"}


def test_no_record_reaches_out_of_its_folder(tmp_path):
    # A folder that someone made to overwrite a file elsewhere, when it is next written to.
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (there / "precious.csv").write_text("precious")
    killed_while_replacing(here)
    (file,) = here.glob(".floelens-*.run")
    forged = file.read_text().replace('"folders": ["."]', '"folders": ["../there"]').replace("b.csv", "c.csv")
    lines = [line.partition(" ")[2] for line in forged.splitlines()]
    file.write_text("".join(f"{run_files._checksum(line)} {line}\n" for line in lines))
    for new in here.glob(".*.floelens-*"):
        (there / new.name).write_text("forged")
    (sentence,) = clear(here)
    assert "cannot be mended" in sentence
    assert (there / "precious.csv").read_text() == "precious"
    assert not (there / "a.csv").exists()


@pytest.mark.parametrize("place", ["file", "fifo", "link"])
def test_a_run_file_that_is_none_does_no_harm(tmp_path, place):
    file = tmp_path / ".floelens-abcdef-1-01234567.run"
    if place == "file":
        file.write_bytes(b"\xff\0" * 100)
    elif place == "fifo":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    replace_both(tmp_path)
    assert {"a.csv", "b.csv"} <= set(names_in(tmp_path))


def test_folders_that_earlier_versions_left_are_swept(tmp_path):
    dead, young, other = (tmp_path / f".floelens-{name}" for name in ("abcdefg1", "abcdefg2", "abcdefg3"))
    for folder in (dead, young, other):
        folder.mkdir()
    (dead / f".sar.{host()}-4194305-01234567.floelens-tmp.tif").write_text("half")
    (young / "sar.tif").write_text("of a run that may live")
    (other / "notes.txt").write_text("mine")
    os.utime(other / "notes.txt", (0, 0))
    clear(tmp_path)
    assert names_in(tmp_path) == [young.name, other.name]


def test_a_long_name_in_a_script_of_many_bytes_can_be_written(tmp_path):
    path = tmp_path / f"{'氷' * 80}.csv"
    with atomic_text(path) as file:
        file.write("a")
    assert names_in(tmp_path) == [path.name]


def test_what_described_the_earlier_file_goes_with_it(tmp_path):
    for name in ("zones.gpkg", "zones.gpkg-wal", "zones.gpkg-shm", "zones.csv"):
        (tmp_path / name).write_text("old")
    with atomic_path(tmp_path / "zones.gpkg") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path) == {"zones.csv": "old", "zones.gpkg": "new"}


@pytest.mark.parametrize("lacking", ["locks", "flushing"])
def test_a_file_system_that_lacks_something_is_written_to_as_well(tmp_path, monkeypatch, lacking):
    def refuse(*_arguments):
        raise OSError(errno.EINVAL, "not here")

    if lacking == "locks":
        monkeypatch.setattr("floelens.plugin.io.transaction.locks.fcntl.flock", refuse)
    else:
        monkeypatch.setattr(os, "fsync", refuse)
    replace_both(tmp_path, "old")
    replace_both(tmp_path, "new")
    assert contents(tmp_path) == {"a.csv": "new", "b.csv": "new"}


def test_a_disk_that_is_full_when_the_replacement_is_written_down_changes_nothing(tmp_path, monkeypatch):
    replace_both(tmp_path, "old")
    write = os.write

    def full(descriptor, data):
        if b'"replace"' in bytes(data):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match="No space left"):
        replace_both(tmp_path)
    assert contents(tmp_path) == {"a.csv": "old", "b.csv": "old"}


def test_a_second_run_that_lives_and_writes_the_same_file_is_told(tmp_path):
    recorder = Recorder()
    path = tmp_path / "ice.tif"
    with OutputTransaction(recorder) as first, OutputTransaction(recorder) as second:
        first.file(path).write_text("first")
        second.file(tmp_path / "other.tif").write_text("other")
        assert recorder.warnings == []
        second.file(path).write_text("second")
        (told,) = recorder.warnings
        assert "Another run of FloeLens is writing" in told
        assert str(path) in told
    assert path.read_text() == "first"  # the last to end
    with OutputTransaction(recorder) as third:
        third.file(path).write_text("third")
    assert len(recorder.warnings) == 1
