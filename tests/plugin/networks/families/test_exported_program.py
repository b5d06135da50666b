"""Weights of a ``.pt2`` file are those of the network; nothing of it is unpickled."""

from __future__ import annotations

import io
import json
import pickle
import warnings
import zipfile

import pytest
import torch
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.networks.families.exported_program import is_exported_program, read_exported_program
from floelens.tests.plugin.networks.families.definitions import Steps, drawn

CONFIG = "data/weights/model_weights_config.json"


@pytest.fixture(scope="module")
def network():
    return drawn(Steps(channels=3, filters=(4, 4), transposed=True)).eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """Return a file of torch.export.save, where this torch writes weights as plain bytes."""
    path = tmp_path_factory.mktemp("exported") / "net.pt2"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(network, (torch.zeros(1, 3, 16, 16),)), path)
    if CONFIG not in entries_of(path):
        pytest.skip("torch before 2.8")
    return path


def entries_of(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}


def zipped(entries: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(f"net/{name}", data)
    return content.getvalue()


def test_the_weights_are_those_of_the_network_and_torch_unpickles_nothing(exported, network, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_given, **_options: pytest.fail("it was unpickled"))
    assert is_exported_program(exported)
    state = read_exported_program(exported)
    expected = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    assert set(state.tensors) == set(expected)
    assert all(torch.equal(value, expected[name]) for name, value in state.tensors.items())
    results = ImportModel(str(exported), check_only=True).run(Silent())
    assert results["FAMILY_FOUND"] == "uit"
    assert "exported program" in str(results["FOUND"])


def changed(exported, **changes) -> bytes:
    """Return the file with other facts of its first weight."""
    entries = entries_of(exported)
    config = json.loads(entries[CONFIG])
    first = next(iter(config["config"].values()))
    for key, value in changes.items():
        (first if key in first else first["tensor_meta"])[key] = value
    return zipped({**entries, CONFIG: json.dumps(config).encode()})


def ints(*values):
    return [{"as_int": value} for value in values]


class Runs:
    def __reduce__(self):
        return print, ("ran",)


HOSTILE = {
    "pickled weights": (lambda e: changed(e, use_pickle=True), "is pickled"),
    "a shape of terabytes": (
        lambda e: changed(e, sizes=ints(1 << 20, 1 << 20), strides=ints(1 << 20, 1)),
        "beyond",
    ),
    "terabytes by strides of zero": (
        lambda e: changed(e, sizes=ints(1 << 20, 1 << 20), strides=ints(0, 0)),
        "beyond",
    ),
    "terabytes behind an axis of nothing": (
        lambda e: changed(e, sizes=ints(0, 1 << 39, 1 << 39), strides=ints(0, 0, 0)),
        "beyond",
    ),
    "half a number": (
        lambda e: zipped({**entries_of(e), "data/weights/weight_0": b"\0" * (4 * 3 * 4 * 9 + 2)}),
        "ends within a number",
    ),
    "a place behind the numbers": (lambda e: changed(e, storage_offset={"as_int": 1 << 30}), "beyond"),
    "a negative size": (lambda e: changed(e, sizes=ints(-1), strides=ints(1)), "shape that is none"),
    "a symbol as size": (
        lambda e: changed(e, sizes=[{"as_expr": "s0"}], strides=ints(1)),
        "shape that is none",
    ),
    "sizes without strides": (lambda e: changed(e, strides=ints(1)), "strides"),
    "fifty axes": (
        lambda e: changed(e, sizes=ints(*[1] * 50), strides=ints(*[1] * 50)),
        "shape that is none",
    ),
    "complex numbers": (lambda e: changed(e, dtype=10), "no plain real numbers"),
    "sparse": (lambda e: changed(e, layout=1), "no plain real numbers"),
    "a path out of its folder": (lambda e: changed(e, path_name="../../etc/passwd"), "is missing"),
    "no list of weights": (
        lambda e: zipped({n: d for n, d in entries_of(e).items() if n != CONFIG}),
        "holds no data",
    ),
    "a list that is no JSON": (lambda e: zipped({**entries_of(e), CONFIG: b"{"}), "no valid JSON"),
    "a list a thousand deep": (lambda e: zipped({**entries_of(e), CONFIG: b"[" * 1000}), "no valid JSON"),
    "an empty list": (lambda e: zipped({**entries_of(e), CONFIG: b'{"config": {}}'}), "empty or damaged"),
    "compressed": (lambda e: zipped(entries_of(e), zipfile.ZIP_DEFLATED), "compressed"),
    "cut": (lambda e: e.read_bytes()[:-40], "damaged zip|holds no data"),
    "of torch before 2.8": (
        lambda _: zipped({"serialized_exported_program.json": b"{}", "s.pt": pickle.dumps(Runs())}),
        r"before 2\.8",
    ),
    "not a number": (
        lambda e: zipped({**entries_of(e), "data/weights/weight_0": b"\xff" * 4 * 3 * 4 * 9}),
        "not finite",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_damaged_or_hostile_file_is_a_sentence(exported, tmp_path, capsys, case):
    made, words = HOSTILE[case]
    path = tmp_path / "file.pt2"
    path.write_bytes(made(exported))
    with pytest.raises(ModelError, match=words) as raised:
        read_exported_program(path)
    assert len(str(raised.value)) < 500
    assert "ran" not in capsys.readouterr().out


def test_other_zips_are_no_exported_programs(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({"a.txt": b""}))
    (tmp_path / "b").write_bytes(b"PK")
    assert not any(is_exported_program(tmp_path / name) for name in ("a.zip", "b", "c"))
