"""Variables of a SavedModel are read by a reader of our own; damaged ones are sentences."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from floelens.plugin.core.selftest import run as selftest
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.io.models.tensorflow import bundle, table
from floelens.plugin.io.models.wire import WireError
from floelens.plugin.jobs.importmodel import ImportModel
from floelens.plugin.networks import registry
from floelens.plugin.networks.package import load
from floelens.tests.plugin.io.models.tensorflow import bundle_files as files
from floelens.tests.plugin.networks.families.keras_files import asip_layers, asip_logits


@pytest.fixture(autouse=True)
def own_models(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    monkeypatch.setenv(registry.VARIABLE, "")
    monkeypatch.setattr(selftest, "run_selftest", lambda *_given, **_options: ())  # it takes a second


def in_layers(layers) -> dict[str, np.ndarray]:
    """Return arrays under the keys of a SavedModel; norms stand behind the layer that they follow."""
    names = list(layers)
    norms = [name for name in names if name.startswith("batch")]
    names = [name for name in names if name not in norms]
    names.insert(names.index("conv2d_1") + 1, norms[0])
    names.insert(names.index("conv2d_5") + 1, norms[1])
    return {
        f"layer_with_weights-{number}/{array[:-2]}": np.asarray(values, "<f4")
        for number, name in enumerate(names)
        for array, values in layers[name].items()
    }


def training(arrays) -> dict[str, np.ndarray]:
    """Return what Keras stores beside the layers."""
    return {
        "optimizer/iter": np.array(7, "<i8"),
        "keras_api/metrics/0/total": np.array(0.5, "<f4"),
        "layer_with_weights-0/kernel/.OPTIMIZER_SLOT/optimizer/m": np.zeros(3, "<f4"),
    }


@pytest.mark.parametrize("coarse", [14, 0])
@pytest.mark.parametrize("place", ["", "saved_model.pb", "variables/variables.index"])
def test_a_saved_model_runs_as_the_published_layers_do(tmp_path, coarse, place):
    layers = asip_layers(14, 14, coarse)
    arrays = in_layers(layers)
    folder = files.write_variables(
        tmp_path / "model", {**arrays, **training(arrays)}, {b"_GRAPH": b"\x08\x07"}
    )
    job = ImportModel(
        str(folder / place if place else folder), name="tf net", ratio=5, check_only=place != ""
    )
    results = job.run(Silent())
    assert (results["FAMILY_FOUND"], results["NEEDED"]) == ("asip", "")
    if place:
        return
    _, module = load("tf-net")
    draw = np.random.default_rng(3)
    fine, cells = draw.normal(size=(23, 31, 2)), draw.normal(size=(5, 7, 14)) if coarse else None
    expected = asip_logits(layers, fine, cells, 5, True)
    tensors = [
        None if values is None else torch.from_numpy(np.moveaxis(values, 2, 0).copy())[None]
        for values in (fine, cells)
    ]
    with torch.no_grad():
        found = module.double()(*tensors)[0, 0].numpy()
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max()


def test_variables_in_the_order_of_the_model_give_the_same_layers(tmp_path):
    arrays = in_layers(asip_layers(14, 14, 14))
    order = ("kernel", "bias", *bundle._NORM)
    keys = sorted(
        arrays, key=lambda key: (int(key.split("-")[1].split("/")[0]), order.index(key.split("/")[1]))
    )
    listed = {f"variables/{number}": arrays[key] for number, key in enumerate(keys)}
    paths = [files.write_variables(tmp_path / name, made) for name, made in (("a", arrays), ("b", listed))]
    first, second = (list(bundle.read_saved_model(bundle.index_of(path)).values()) for path in paths)
    assert len(first) == len(second) == 13
    for one, two in zip(first, second):
        assert set(one) == set(two)
        assert all(np.array_equal(one[name], two[name]) for name in one)
    del listed["variables/7"]  # a bias; and a vector of a norm is taken for one
    with pytest.raises(ModelError, match="order of convolutions"):
        bundle.read_saved_model(bundle.index_of(files.write_variables(tmp_path / "c", listed)))


def test_the_checksum_is_that_of_the_standard():
    """RFC 3720, appendix B.4, and the digits that every description checks."""
    for data, crc in ((b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)):
        assert files.crc32c(data) == crc
        assert table.masked_crc(data) == files.masked(data)


def test_keys_of_many_blocks_come_back_in_order():
    pairs = [(f"layer/{number:04d}".encode(), bytes([number % 256]) * (number % 9)) for number in range(500)]
    assert [(key, bytes(value)) for key, value in table.entries(files.table(pairs))] == pairs


def small(**changed) -> dict[str, np.ndarray]:
    return {"layer_with_weights-0/kernel": np.ones((1, 1, 2, 1), "<f4"), **changed}


def rewritten(folder, entry: bytes):
    """Put another message in place of the kernel's."""
    pairs = [(b"", files.field(1, 1)), (f"layer_with_weights-0/kernel{files.SUFFIX}".encode(), entry)]
    (folder / "variables" / "variables.index").write_bytes(files.table(pairs))


SHAPE = files.field(2, files.field(2, files.field(1, 2)))
HUGE = files.field(2, files.field(2, files.field(1, 1 << 40)))
NOTHING = files.field(2, files.field(2, files.field(1, 0)) + files.field(2, files.field(1, 1 << 62)))
DAMAGED = {
    "an index without an end": (lambda f: cut(f, -10), "no index of a SavedModel"),
    "another file": (lambda f: index(f).write_bytes(b"x" * 100), "no index of a SavedModel"),
    "an empty index": (lambda f: index(f).write_bytes(b""), "no index of a SavedModel"),
    "another checksum of a block": (lambda f: flip(index(f), 20), "checksum|damaged"),
    "a compressed block": (
        lambda f: index(f).write_bytes(files.table([(b"", b"")], compression=1)),
        "compressed",
    ),
    "blocks beyond the end": (
        lambda f: index(f).write_bytes(
            bytes(9)
            + files.varint(0) * 2
            + files.varint(1 << 60) * 2
            + bytes(20)
            + struct.pack("<Q", files.MAGIC)
        ),
        "damaged",
    ),
    "other numbers": (lambda f: flip(data(f), 2), "another checksum"),
    "data cut": (lambda f: data(f).write_bytes(b"xx"), "behind the file's end"),
    "no data": (lambda f: data(f).unlink(), "is missing"),
    "no variables": (
        lambda f: index(f).write_bytes(files.table([(b"", files.field(1, 1))])),
        "lists no variables",
    ),
    "no count of files": (lambda f: index(f).write_bytes(files.table([(b"a", b"")])), "how many files"),
    "big-endian numbers": (
        lambda f: index(f).write_bytes(files.table([(b"", files.field(1, 1) + files.field(2, 1))])),
        "big-endian",
    ),
    "terabytes": (lambda f: rewritten(f, files.field(1, 1) + HUGE + files.field(5, 1 << 42)), "would have"),
    "another size": (lambda f: rewritten(f, files.field(1, 1) + SHAPE + files.field(5, 4)), "has 4 bytes"),
    "a place before the file": (
        lambda f: rewritten(f, files.field(1, 1) + SHAPE + files.field(4, -8) + files.field(5, 8)),
        "damaged",
    ),
    "a file that is none of its own": (
        lambda f: rewritten(f, files.field(1, 1) + SHAPE + files.field(3, 9) + files.field(5, 8)),
        "damaged",
    ),
    "slices": (lambda f: rewritten(f, files.field(1, 1) + SHAPE + files.field(7, b"")), "in slices"),
    "texts": (lambda f: rewritten(f, files.field(1, 7) + SHAPE), "no real numbers"),
    "an unknown shape": (
        lambda f: rewritten(f, files.field(1, 1) + files.field(2, files.field(3, 1))),
        "unknown",
    ),
    "a negative side": (
        lambda f: rewritten(f, files.field(1, 1) + files.field(2, files.field(2, files.field(1, -3)))),
        "shape is none",
    ),
    "terabytes behind an axis of nothing": (
        lambda f: rewritten(f, files.field(1, 1) + NOTHING),
        "shape is none",
    ),
    "one block many times": (
        lambda f: index(f).write_bytes(files.table([(b"", files.field(1, 1))], listed=50)),
        "blocks overlap",
    ),
    "a message that is none": (lambda f: rewritten(f, b"\xff" * 20), "damaged"),
    "no network of ASIP": (lambda _: None, "an ASIP network has"),
}


def index(folder):
    return folder / "variables" / "variables.index"


def data(folder):
    return folder / "variables" / "variables.data-00000-of-00001"


def cut(folder, at):
    index(folder).write_bytes(index(folder).read_bytes()[:at])


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_saved_model_is_a_sentence(tmp_path, case):
    folder = files.write_variables(tmp_path / "model", small())
    change, words = DAMAGED[case]
    change(folder)
    with pytest.raises(ModelError, match=words) as raised:
        ImportModel(str(folder), name="tf").run(Silent())
    assert len(str(raised.value)) < 500
    assert not (tmp_path / "user").exists()


def test_infinite_numbers_and_other_families_are_sentences(tmp_path):
    infinite = {"layer_with_weights-0/kernel": np.array([np.inf, 1], "<f4")}
    with pytest.raises(ModelError, match="not finite"):
        ImportModel(str(files.write_variables(tmp_path / "a", infinite))).run(Silent())
    folder = files.write_variables(tmp_path / "b", small())
    with pytest.raises(ModelError, match="FAMILY=unet"):
        ImportModel(str(folder), family="unet").run(Silent())
    with pytest.raises(ModelError, match="no file with content"):
        ImportModel(str(tmp_path)).run(Silent())


@pytest.mark.slow
@pytest.mark.fuzz
def test_damaged_indexes_are_sentences_ten_thousand_times(tmp_path, monkeypatch):
    """Half of them in the table, half in its messages, which a checksum would guard."""
    draw = np.random.default_rng(11)
    folder = files.write_variables(tmp_path / "model", in_layers(asip_layers(14, 14, 14)))
    whole = index(folder).read_bytes()
    pairs = [(key, bytes(value)) for key, value in table.entries(whole)]

    def damaged(content: bytes) -> bytes:
        made = bytearray(content)
        for at in draw.integers(0, max(len(made), 1), draw.integers(1, 8)) if made else ():
            made[at] = draw.integers(256)
        return bytes(made)

    for number in range(10_000):
        content = damaged(whole)
        if number % 2:
            place = int(draw.integers(len(pairs)))
            changed = [*pairs[:place], (pairs[place][0], damaged(pairs[place][1])), *pairs[place + 1 :]]
            monkeypatch.setattr(
                bundle, "entries", lambda _, made=changed: [(k, memoryview(v)) for k, v in made]
            )
        else:
            monkeypatch.setattr(bundle, "entries", table.entries)
        try:
            bundle._read_index(content)
        except WireError as error:
            assert len(str(error)) < 300
