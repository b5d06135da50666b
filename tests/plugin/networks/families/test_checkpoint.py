"""What a PyTorch file may hold: weights, wherever they lie in it; anything else is a sentence, and nothing runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks.families import checkpoint, pickle_bounds
from floelens.plugin.networks.families.checkpoint import read_checkpoint
from floelens.plugin.networks.families.unet import recognise
from floelens.tests.plugin.networks.families.definitions import StarterKit, drawn
from torch import nn


def weights() -> dict[str, torch.Tensor]:
    return drawn(StarterKit(channels=2, filters=(2, 2))).state_dict()


def written(folder, value, **options):
    path = folder / "weights.pt"
    torch.save(value, path, **options)
    return path


def prefixed(*prefixes: str) -> dict[str, torch.Tensor]:
    return {"".join(prefixes) + name: value for name, value in weights().items()}


PLACES = {
    "alone": lambda: weights(),
    "with an optimiser": lambda: {
        "epoch": 3,
        "model_state_dict": weights(),
        "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-3}]},
    },
    "of several devices": lambda: prefixed("module."),
    "compiled and of several devices": lambda: {"model_state_dict": prefixed("_orig_mod.", "module.")},
    "of Lightning": lambda: {
        "pytorch-lightning_version": "2.1.0",
        "state_dict": {**prefixed("model."), "criterion.weight": torch.ones(12)},
        "hyper_parameters": {"lr": 1e-3},
    },
    "under a name of its own": lambda: {"ema": weights(), "step": 5},
    "in half precision": lambda: {name: value.half() for name, value in weights().items()},
    "as parameters": lambda: OrderedDict(
        (n, nn.Parameter(v, False)) for n, v in weights().items() if v.is_floating_point()
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_weights_are_found_wherever_training_puts_them(tmp_path, place):
    state = read_checkpoint(written(tmp_path, PLACES[place]()))
    assert recognise(state.tensors).filters == (2, 2, 2)
    expected = weights()
    for name, value in state.tensors.items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, expected[name], atol=1e-3, rtol=1e-3)


class Runs:
    """An object whose unpickling would make a file."""

    def __init__(self, path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def zipped(entries: dict[str, bytes], compression=zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return content.getvalue()


def saved(value) -> bytes:
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def with_pickle(data: bytes) -> bytes:
    """Return a file of torch.save with another list of tensors."""
    with zipfile.ZipFile(io.BytesIO(saved(weights()))) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries[next(name for name in entries if name.endswith("data.pkl"))] = data
    return zipped(entries)


def expanded() -> torch.Tensor:
    """Return a tensor of 9 × 10¹² numbers in four bytes."""
    return torch.ones(1).expand(10**6, 10**6, 3, 3)


def whole_network() -> bytes:
    return saved(nn.Conv2d(1, 1, 1))


HOSTILE = {
    "code in a zip": (lambda place: saved(Runs(place)), "more than weights"),
    "code beside weights": (
        lambda place: saved({"model_state_dict": weights(), "x": Runs(place)}),
        "more than weights",
    ),
    "code in the list of tensors": (
        lambda place: with_pickle(pickle.dumps(Runs(place))),
        "more than weights|cannot be read",
    ),
    "a bare pickle with code": (lambda place: pickle.dumps(Runs(place)), "bare pickle"),
    "a whole pickled network": (lambda _: whole_network(), r"more than weights.*state_dict\(\)"),
    "a numpy array": (lambda _: saved({"w": np.ones(3)}), "more than weights"),
    "an object of another module": (lambda _: saved({"w": SimpleNamespace(a=1)}), "more than weights"),
    "TorchScript": (lambda _: zipped({"net/code/net.py": b"x", "net/data.pkl": b"x"}), "TorchScript"),
    "another zip": (lambda _: zipped({"a.txt": b"x"}), "no data.pkl"),
    "pt2": (lambda _: zipped({"a/models/model.json": b"{}", "a/version": b"0"}), "no data.pkl"),
    "a compressed bomb": (
        lambda _: zipped({"a/data.pkl": b"x", "a/data/0": bytes(50_000_000)}, zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "a cut zip": (lambda _: saved(weights())[:-30], "damaged zip"),
    "half a zip": (lambda _: saved(weights())[:900], "damaged zip"),
    "text": (lambda _: b"weights", "no file of torch.save"),
    "nothing": (lambda _: b"", "no file of torch.save"),
    "damaged numbers of a pickle": (
        lambda _: with_pickle(b"\x80\x02}q\x00(garbage"),
        "cannot be read|more than",
    ),
    "an endless list": (
        lambda _: with_pickle(b"\x80\x02" + b"(" * 100_000 + b"l."),
        "cannot be read|more than|state_dict",
    ),
    "terabytes in four bytes": (lambda _: saved({"a.weight": expanded()}), "more bytes than the file has"),
    "a byte array of terabytes": (
        lambda _: with_pickle(b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R."),
        "cannot be read|has no state_dict|more than",
    ),
    "a sparse tensor": (lambda _: saved({"a.weight": torch.eye(3).to_sparse()}), "no plain array"),
    "no values": (
        lambda _: saved({"a.weight": torch.ones(3, device="meta")}),
        "no plain array|cannot be read",
    ),
    "whole numbers": (
        lambda _: saved({"a.weight": torch.ones(3, dtype=torch.int64)}),
        "instead of real numbers",
    ),
    "complex numbers": (
        lambda _: saved({"a.weight": torch.ones(3, dtype=torch.complex64)}),
        "instead of real",
    ),
    "not a number": (lambda _: saved({"a.weight": torch.tensor([1.0, np.nan])}), "not finite"),
    "infinite": (lambda _: saved({"a.weight": torch.tensor([np.inf])}), "not finite"),
    "infinite in float32": (
        lambda _: saved({"a.weight": torch.tensor([1e300], dtype=torch.float64)}),
        "not finite",
    ),
    "a list": (lambda _: saved([torch.ones(3)]), "it holds a list"),
    "a number": (lambda _: saved(3), "it holds a int"),
    "no weights": (lambda _: saved({"epoch": 3, "loss": 0.1}), "its entries are epoch, loss"),
    "two sets of weights under unknown names": (
        lambda _: saved({"teacher": weights(), "student": weights()}),
        "no state_dict",
    ),
    "training alone": (lambda _: saved({"criterion.weight": torch.ones(3)}), "no weights of a network"),
    "a name of tuples that hold each other twice": (
        lambda _: with_pickle(
            b"\x80\x02}K\x01" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(16)) + b"K\x02s."
        ),
        "entries are a list of 2 entries",
    ),
    "tuples that hold each other twice, forty times over": (
        lambda _: with_pickle(
            b"\x80\x02}K\x01" + b"".join(b"q%ch%c\x86" % (n, n) for n in range(40)) + b"K\x02s."
        ),
        "the same values again and again",
    ),
    "tuples a hundred thousand deep": (
        lambda _: with_pickle(b"\x80\x02}K\x01" + b"\x85" * 100_000 + b"K\x02s."),
        "inside one another",
    ),
    "lists that hold each other twice": (
        lambda _: with_pickle(b"\x80\x02]" + b"".join(b"q%c](h%ch%ce" % (n, n, n) for n in range(60)) + b"."),
        "the same values again and again",
    ),
    "a value that was never made": (lambda _: with_pickle(b"\x80\x02h\x07."), "has not made"),
    "a step without values": (lambda _: with_pickle(b"\x80\x02\x86."), "takes what is not there"),
    "names that are numbers": (lambda _: saved({3: torch.ones(3)}), "no state_dict"),
    "a name of a megabyte": (lambda _: saved({"a" * 10**6: torch.ones(3)}), "no state_dict"),
    "many tensors": (
        lambda _: saved({f"a.{n}.weight": torch.ones(()) for n in range(checkpoint._MOST_TENSORS + 1)}),
        "at most 10000",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_none_of_weights_is_a_sentence_and_nothing_runs(tmp_path, case):
    made, words = HOSTILE[case]
    path = tmp_path / "file.pt"
    path.write_bytes(made(tmp_path / "ran"))
    with pytest.raises(ModelError, match=words) as raised:
        read_checkpoint(path)
    assert not (tmp_path / "ran").exists()
    assert len(str(raised.value)) < 500
    assert "\n" not in str(raised.value)


def test_folders_pipes_large_and_missing_files_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place, words in ((tmp_path, "no file with content"), (tmp_path / "pipe", "no file with content")):
        with pytest.raises(ModelError, match=words):
            read_checkpoint(place)
    with pytest.raises(ModelError, match="no file"):
        read_checkpoint(tmp_path / "none.pt")
    with (tmp_path / "sparse.pt").open("wb") as file:
        file.truncate(checkpoint.MOST_BYTES + 1)
    with pytest.raises(ModelError, match="more than the"):
        read_checkpoint(tmp_path / "sparse.pt")


def test_a_pickle_of_more_steps_than_any_networks_is_not_followed_to_its_end(monkeypatch):
    monkeypatch.setattr(pickle_bounds, "MOST_OPCODES", 1000)
    pickle_bounds.check_bounds(b"\x80\x02" + b"N0" * 400 + b"N.")
    with pytest.raises(pickle_bounds.PickleBoundsError, match="more than 1000 steps"):
        pickle_bounds.check_bounds(b"\x80\x02" + b"N0" * 600 + b"N.")


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_plain_values_pass_the_bounds_whatever_their_protocol(protocol):
    shared = (1, 2.5, "text", b"bytes")
    value = {"a": [shared] * 3000, "b": {"c": {shared, (shared, 7)}}, "d": [[[]]] * 3, "e": 1 << 80}
    pickle_bounds.check_bounds(pickle.dumps(value, protocol))


@pytest.mark.parametrize(
    ("start", "words"), [(b"", "no file of torch.save"), (b"PK\x03\x04", "end is missing")]
)
def test_a_sparse_file_of_gigabytes_is_refused_before_it_is_read(tmp_path, monkeypatch, start, words):
    path = tmp_path / "sparse.pt"
    path.write_bytes(start)
    os.truncate(path, checkpoint.MOST_BYTES)
    monkeypatch.setattr(checkpoint, "read_regular", lambda *_given: pytest.fail("it was read"))
    with pytest.raises(ModelError, match=words):
        read_checkpoint(path)


def test_before_torch_2_6_no_file_is_opened(tmp_path, monkeypatch):
    path = written(tmp_path, weights())
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    monkeypatch.setattr(torch, "load", lambda *_args, **_options: pytest.fail("it was opened"))
    with pytest.raises(ModelError, match=r"before version 2\.6"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"tittle": "x"}, "'title'"),
        ({"weights": {"file": "a.pt"}}, "makes itself"),
        ({"channels": [{"name": "hh"}]}, "channels"),
        ({"channels": 3}, "not a list"),
        ({"pixel_size_m": -4}, "pixel_size_m|not above 0|Pixel"),
        ({"title": "<script>" * 9999}, "characters"),
        ({"heads": [{"name": "a", "kind": "argmax", "classes": []}]}, "not one of"),
        ([1], "no JSON object"),
    ],
)
def test_a_card_by_hand_that_cannot_be_used_is_a_sentence(tmp_path, content, words):
    from floelens.plugin.ground.protocols import Silent
    from floelens.plugin.jobs.importmodel import ImportModel

    card = tmp_path / "card.json"
    card.write_text(json.dumps(content), encoding="utf-8")
    job = ImportModel(str(written(tmp_path, weights())), card=str(card), channels="hh,hv", pixel_size=80.0)
    with pytest.raises(ModelError, match=words) as raised:
        job.run(Silent())
    assert len(str(raised.value)) < 500
