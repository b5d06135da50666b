"""A model goes into a zip and comes out of it as it was; it can be removed; strangers' zips are sentences."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
import torch
from floelens.plugin.core.selftest import run as selftest
from floelens.plugin.ground.errors import FloeLensError, ModelError, OutputError, ParameterError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.models import archive
from floelens.plugin.io.transaction import outputs, replacement
from floelens.plugin.jobs.exportmodel import ExportModel
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.jobs.inspect import InspectModel
from floelens.plugin.jobs.removemodel import RemoveModel
from floelens.plugin.networks import registry
from floelens.plugin.networks.package import load
from floelens.tests.plugin.networks.families.definitions import Steps, drawn

FIXTURES = Path(__file__).parent / "packages"


@pytest.fixture(autouse=True)
def own_models(monkeypatch, tmp_path):
    """Let models be installed into a folder of the test alone."""
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    monkeypatch.setenv(registry.VARIABLE, "")


@pytest.fixture
def untested(monkeypatch):
    """Leave out the self-test, which takes a second, where it is not looked at."""
    monkeypatch.setattr(selftest, "run_selftest", lambda *_given, **_options: ())


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a folder with a model 'mine' in ``user`` and its zip beside."""
    folder = tmp_path_factory.mktemp("made")
    torch.save(drawn(Steps(channels=3, filters=(4, 4), transposed=True)).state_dict(), folder / "w.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "user_folder", lambda: folder / "user")
        patch.setenv(registry.VARIABLE, "")
        patch.setattr(selftest, "run_selftest", lambda *_given, **_options: ())
        given = {"name": "mine", "pixel_size": 40.0, "licence": "CC0-1.0"}
        ImportModel(str(folder / "w.pt"), **given).run(Silent())
        ExportModel("mine", str(folder / "mine.zip")).run(Silent())
    return folder


@pytest.fixture
def parcel(made) -> Path:
    """Return the zip of a model that is not installed."""
    return made / "mine.zip"


@pytest.fixture
def exported(made, tmp_path) -> Path:
    """Return the zip of a model that is installed as 'mine'."""
    shutil.copytree(made / "user", tmp_path / "user")
    return Path(shutil.copy(made / "mine.zip", tmp_path))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_comes_out_of_a_zip_as_it_went_in(exported, tmp_path):
    before = contents(tmp_path / "user" / "mine")
    assert set(before) == {"README.md", "card.json", "stac-item.json", "weights.safetensors"}
    first = exported.read_bytes()
    ExportModel("mine", str(exported)).run(Silent())
    assert exported.read_bytes() == first
    RemoveModel("mine").run(Silent())
    assert not (tmp_path / "user" / "mine").exists()
    dry = ImportModel(str(exported), check_only=True, report=str(tmp_path / "dry.html")).run(Silent())
    assert (dry["MODEL_ID"], dry["NEEDED"], dry["TESTS_FAILED"]) == ("mine", "", 0)
    assert not (tmp_path / "user" / "mine").exists()
    results = ImportModel(str(exported), report=str(tmp_path / "r.html")).run(Silent())
    assert (results["FAMILY_FOUND"], results["TESTS_FAILED"]) == ("package", 0)
    assert contents(tmp_path / "user" / "mine") == before
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert all(words in page for words in ("Self-test", "checksums that the zip says", "CC0-1.0"))
    assert InspectModel("mine", str(tmp_path / "i.html")).run(Silent())["PARAMETERS"] == results["PARAMETERS"]


def test_checksums_in_the_zip_are_those_of_sha256sum(parcel):
    with zipfile.ZipFile(parcel) as zipped:
        assert all(name.startswith("mine/") for name in zipped.namelist())
        lines = zipped.read("mine/SHA256SUMS").decode().splitlines()
        for line in lines:
            checksum, name = line.split("  ")
            assert hashlib.sha256(zipped.read(f"mine/{name}")).hexdigest() == checksum
        assert len(lines) == len(zipped.namelist()) - 1


@pytest.mark.usefixtures("untested")
def test_a_package_gets_another_name_beside_the_first(exported, tmp_path):
    results = ImportModel(str(exported), name="Mine, too").run(Silent())
    assert results["MODEL_ID"] == "mine-too"
    first, second = (load(name) for name in ("mine", "mine-too"))
    assert second[0].title == "Mine, too"
    assert second[0].weights == first[0].weights
    item = json.loads((tmp_path / "user" / "mine-too" / "stac-item.json").read_text(encoding="utf-8"))
    assert item["id"] == "mine-too"
    with pytest.raises(ModelError, match="leave LICENCE"):
        ImportModel(str(exported), name="third", licence="MIT").run(Silent())


@pytest.mark.usefixtures("untested")
def test_other_weights_replace_a_package_only_where_its_folder_is_named(exported, tmp_path):
    network = drawn(Steps(channels=3, filters=(4, 4), transposed=True), seed=5)
    torch.save(network.state_dict(), tmp_path / "new.pt")
    ImportModel(
        str(tmp_path / "new.pt"), name="mine", pixel_size=40.0, output=str(tmp_path / "user" / "mine")
    ).run(Silent())
    with pytest.raises(ModelError, match="of other weights is installed"):
        ImportModel(str(exported)).run(Silent())
    _, module = load("mine")  # in use: what has been read stays as it is
    before = {name: value.clone() for name, value in module.state_dict().items()}
    ImportModel(str(exported), output=str(tmp_path / "user" / "mine")).run(Silent())
    RemoveModel("mine").run(Silent())
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_what_else_lies_in_the_folder_of_a_model_stays(exported, tmp_path, recorder):
    (tmp_path / "user" / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    results = RemoveModel("mine", str(tmp_path / "copy.zip")).run(recorder)
    assert contents(tmp_path / "user" / "mine") == {"notes.txt": b"mine"}
    assert "notes.txt" in recorder.warnings[0]
    assert results["OUTPUT"] == str(tmp_path / "copy.zip")
    assert (tmp_path / "copy.zip").read_bytes() == exported.read_bytes()
    with pytest.raises(ModelError, match="There is no model 'mine'"):
        RemoveModel("mine").run(Silent())


@pytest.mark.parametrize("held", ["weights.safetensors", "card.json", "README.md"])
def test_a_model_of_which_a_file_is_held_open_is_not_removed_in_part(exported, tmp_path, monkeypatch, held):
    """Windows refuses to rename a file that a program holds open."""
    before = contents(tmp_path / "user" / "mine")
    set_aside = replacement.Entry.set_aside

    def refused(entry):
        if entry.final.name == held:
            raise PermissionError(13, "it is used by another process", str(entry.final))
        set_aside(entry)

    monkeypatch.setattr(replacement.Entry, "set_aside", refused)
    with pytest.raises(OutputError, match=r"'mine' is not removed.*used by another process"):
        RemoveModel("mine").run(Silent())
    assert contents(tmp_path / "user" / "mine") == before
    assert registry.find("mine") == tmp_path / "user" / "mine"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends a fork of this process")
def test_a_removal_that_was_killed_is_ended_and_said_by_the_next(exported, tmp_path, recorder):
    folder = tmp_path / "user" / "mine"
    pid = os.fork()
    if pid == 0:
        outputs.do = lambda entries: (
            entries[-1].set_aside() or os._exit(9)
        )  # the card is aside, the rest stands
        RemoveModel(str(folder)).run(Silent())
    os.waitpid(pid, 0)
    assert not (folder / "card.json").exists()
    with pytest.raises(ModelError, match="There is no model"):
        RemoveModel(str(folder)).run(recorder)
    assert "killed while it removed files" in recorder.warnings[0]
    assert list((tmp_path / "user").iterdir()) == []


def test_models_that_come_along_are_not_removed():
    with pytest.raises(ModelError, match="came with FloeLens"):
        RemoveModel("aspp-concentration-sim").run(Silent())
    assert (registry.BUNDLED / "aspp-concentration-sim" / "card.json").is_file()


def test_bundled_models_are_exported_with_their_reference(tmp_path):
    ExportModel("aspp-icetype-sim", str(tmp_path / "a.zip")).run(Silent())
    with zipfile.ZipFile(tmp_path / "a.zip") as zipped:
        assert "aspp-icetype-sim/contributions.json" in zipped.namelist()
    with pytest.raises(ParameterError, match=r"no \.zip file"):
        ExportModel("aspp-icetype-sim", str(tmp_path / "a.tar")).run(Silent())
    with pytest.raises(ModelError, match="installed already"):
        ImportModel(str(tmp_path / "a.zip")).run(Silent())


@pytest.mark.parametrize("fixture", sorted(path.name for path in FIXTURES.glob("*.zip")))
def test_packages_of_every_format_that_was_ever_written_are_read(fixture):
    """Files as they were written when the format was new: they are never made again."""
    results = ImportModel(str(FIXTURES / fixture)).run(Silent())
    assert results["TESTS_FAILED"] == 0
    expected = json.loads((FIXTURES / "logits.json").read_text(encoding="utf-8"))[fixture]
    card, module = load(str(results["MODEL_ID"]))
    assert card.id == expected["id"]
    values = torch.linspace(-1, 1, 2 * 16 * 16).reshape(1, 2, 16, 16)
    with torch.no_grad():
        logits = module(values, None)[0, :, 3, 5]
    torch.testing.assert_close(logits, torch.tensor(expected["logits"]), rtol=1e-5, atol=1e-6)


# Hostile zips


def zipped(entries, compression=zipfile.ZIP_STORED, mode=0, flags=0) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as target:
        for name, data in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            info.external_attr = mode << 16 if name == entries[-1][0] else 0
            target.writestr(info, data)
    return content.getvalue()


def parts(exported: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(exported) as source:
        return [(name, source.read(name)) for name in source.namelist()]


def changed(exported: Path, **files: bytes) -> bytes:
    """Return the zip with other contents of files, and without checksums."""
    kept = [(name, data) for name, data in parts(exported) if not name.endswith("SHA256SUMS")]
    named = {
        name.replace("_json", ".json").replace("weights", "weights.safetensors"): data
        for name, data in files.items()
    }
    return zipped([(name, named.get(name.split("/")[1], data)) for name, data in kept])


def card_with(exported: Path, **fields) -> bytes:
    card = json.loads(dict(parts(exported))["mine/card.json"])
    return changed(exported, card_json=json.dumps({**card, **fields}).encode())


def endless(exported: Path) -> bytes:
    """Return a zip whose table of contents claims to have 60,000 entries."""
    data = bytearray(exported.read_bytes())
    at = data.rfind(b"PK\x05\x06")
    data[at + 8 : at + 12] = (60_000).to_bytes(2, "little") * 2
    return bytes(data)


HOSTILE = {
    "a path out of its folder": (lambda e: zipped([*parts(e), ("../evil.txt", b"x")]), "out of its folder"),
    "a path out of a folder in it": (
        lambda e: zipped([*parts(e), ("mine/../../evil.txt", b"x")]),
        "out of its folder",
    ),
    "a path from the root": (lambda e: zipped([*parts(e), ("/tmp/evil.txt", b"x")]), "out of its folder"),
    "a path of Windows": (lambda e: zipped([*parts(e), ("C:\\evil.txt", b"x")]), "out of its folder"),
    "a link": (
        lambda e: zipped([*parts(e), ("mine/link", b"/etc/passwd")], mode=stat.S_IFLNK | 0o777),
        "a link or a device",
    ),
    "a device": (lambda e: zipped([*parts(e), ("mine/pipe", b"")], mode=stat.S_IFIFO), "a link or a device"),
    "weights that are a link": (
        lambda e: zipped(
            [p for p in parts(e) if "weights" not in p[0]] + [("mine/weights.safetensors", b"../x")],
            mode=stat.S_IFLNK,
        ),
        "a link or a device",
    ),
    "a bomb of weights": (
        lambda e: zipped(
            [(n, bytes(20_000_000) if "weights" in n else d) for n, d in parts(e) if "SHA" not in n],
            zipfile.ZIP_DEFLATED,
        ),
        "unpacked, more than it can have",
    ),
    "a bomb of a card": (
        lambda _: zipped([("mine/card.json", b" " * 20_000_000)], zipfile.ZIP_DEFLATED),
        "unpacked, more than it can have",
    ),
    "another checksum": (
        lambda e: zipped([(n, d + b" " if n.endswith("README.md") else d) for n, d in parts(e)]),
        "another checksum than SHA256SUMS",
    ),
    "other weights": (
        lambda e: changed(e, weights=b"\x08" + bytes(7) + b"{}      "),
        "not those of the card",
    ),
    "pickled weights": (lambda e: changed(e, weights=b"PK\x03\x04" + bytes(50)), "pickled code"),
    "no weights": (lambda e: zipped([p for p in parts(e) if "weights" not in p[0]]), "has no 'weights"),
    "two cards": (lambda e: zipped([*parts(e), ("other/card.json", b"{}")]), "2 model cards"),
    "a card deep inside": (lambda _: zipped([("a/b/card.json", b"{}")]), "1 model cards"),
    "a file twice": (lambda e: zipped([*parts(e), ("mine/README.md", b"x")]), "twice"),
    "a card that is no JSON": (lambda e: changed(e, card_json=b"{"), "no valid JSON"),
    "a card that is a list": (lambda e: changed(e, card_json=b"[]"), "no JSON object"),
    "a card that is no text": (lambda e: changed(e, card_json=b"\xff\xfe"), "no valid JSON"),
    "a card a thousand deep": (lambda e: changed(e, card_json=b"[" * 1000), "no valid JSON"),
    "a card with unknown fields": (lambda e: card_with(e, run="rm -rf /"), "no such field"),
    "a card of a later format": (lambda e: card_with(e, format_version=2), "Update FloeLens"),
    "absurd numbers": (lambda e: card_with(e, alignment=10**15), "alignment"),
    "not a number": (lambda e: card_with(e, pixel_size_m="NaN"), "pixel_size_m"),
    "an id that is a path": (lambda e: card_with(e, id="../../evil"), "is no id"),
    "an id of Windows": (lambda e: card_with(e, id="C:evil"), "is no id"),
    "weights elsewhere": (
        lambda e: card_with(e, weights={"file": "../w.safetensors", "sha256": "0" * 64}),
        "is a path",
    ),
    "weights that are a pickle": (
        lambda e: card_with(e, weights={"file": "w.pt", "sha256": ""}),
        "pickled code",
    ),
    "no checksum": (
        lambda e: card_with(e, weights={"file": "weights.safetensors", "sha256": ""}),
        "has no checksum",
    ),
    "an architecture nobody has": (
        lambda e: card_with(e, architecture={"name": "os.system", "arguments": {}}),
        "architecture",
    ),
    "a graph of 10⁹ channels": (
        lambda e: card_with(
            e,
            architecture={
                "name": "graph",
                "arguments": {"graph": {"fine": 10**9, "coarse": 0, "ratio": 1, "nodes": [], "outputs": []}},
            },
        ),
        "graph",
    ),
    "damaged in the middle": (
        lambda e: e.read_bytes()[:3000] + b"\0" * 200 + e.read_bytes()[3200:],
        "damaged|checksum",
    ),
    "packed by another method": (
        lambda e: zipped([(n, d) for n, d in parts(e) if "SHA" not in n], zipfile.ZIP_BZIP2),
        "unusual way",
    ),
    "encrypted": (lambda e: _encrypted(e), "is encrypted"),
    "an endless table of contents": (endless, "is a damaged zip|no data.pkl|no file of torch"),
}


def _encrypted(exported: Path) -> bytes:
    """Return the zip with the mark of encryption on every entry of its table of contents."""
    data = bytearray(exported.read_bytes())
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.usefixtures("untested")
def test_a_zip_of_a_stranger_is_a_sentence_and_leaves_nothing(parcel, tmp_path, case):
    made, words = HOSTILE[case]
    path = tmp_path / "in" / "stranger.zip"
    path.parent.mkdir()
    path.write_bytes(made(parcel))
    before = sorted(tmp_path.iterdir()), sorted(tmp_path.parent.iterdir())
    with pytest.raises(FloeLensError, match=words) as raised:
        ImportModel(str(path), report=str(tmp_path / "r.html")).run(Silent())
    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)
    assert (sorted(tmp_path.iterdir()), sorted(tmp_path.parent.iterdir())) == before


@pytest.mark.usefixtures("untested")
def test_titles_with_markup_are_text_on_the_page(parcel, tmp_path):
    path = tmp_path / "markup.zip"
    path.write_bytes(card_with(parcel, title="<script>alert(1)</script>", summary="<img src=x onerror=y>"))
    ImportModel(str(path), report=str(tmp_path / "r.html")).run(Silent())
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.usefixtures("untested")
def test_files_that_belong_to_no_package_are_left_out(parcel, tmp_path):
    path = tmp_path / "mac.zip"
    extra = [("__MACOSX/mine/._card.txt", b"x"), ("mine/.DS_Store", b"x"), ("mine/run.py", b"import os")]
    path.write_bytes(zipped([*parts(parcel), *extra]))
    results = ImportModel(str(path)).run(Silent())
    assert set(contents(tmp_path / "user" / "mine")) == {
        "README.md",
        "card.json",
        "stac-item.json",
        "weights.safetensors",
    }
    assert "Left out, since they belong to no package" in results["FOUND"]
    assert "run.py" in results["FOUND"]


def test_a_table_of_contents_is_measured_before_it_is_read(parcel, tmp_path, monkeypatch):
    monkeypatch.setattr(archive.zipfile, "ZipFile", lambda *_given: pytest.fail("it was read"))
    (tmp_path / "endless.zip").write_bytes(endless(parcel))
    assert not archive.is_archive(tmp_path / "endless.zip")
    with pytest.raises(ModelError, match="table of contents"):
        archive.PackageArchive(tmp_path / "endless.zip")


@pytest.mark.usefixtures("untested")
def test_an_import_is_not_replaced_by_itself_where_nothing_is_said(exported):
    assert ImportModel(str(exported)).run(Silent())["MODEL_ID"] == "mine"  # the same weights, the same place
    job = dataclasses.replace(ImportModel(str(exported)), output=str(registry.BUNDLED / "x"))
    with pytest.raises(ModelError, match="deleted when the plugin is updated"):
        job.run(Silent())
