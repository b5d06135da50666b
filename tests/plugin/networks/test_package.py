"""Model packages on disk: saved, found, loaded, and everything that can be wrong with them."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from floelens.plugin.ground.dependencies import require
from floelens.plugin.ground.errors import DependencyError, ModelError, OutputError
from floelens.plugin.io.transaction.packages import save_package
from floelens.plugin.networks import package as network
from floelens.plugin.networks import registry, weights
from floelens.plugin.networks.card import Architecture, ModelCard, Weights
from floelens.plugin.networks.standard_channels import standard_channels
from floelens.tests.plugin.networks.networks import (
    CONCENTRATION,
    ICE_TYPE,
    changed,
    make_card,
    random_inputs,
    randomise,
)


@pytest.fixture(autouse=True)
def only_these_models(monkeypatch, tmp_path):
    """Let the registry see nothing but what a test installs."""
    monkeypatch.setattr(registry, "BUNDLED", tmp_path / "bundled")
    monkeypatch.setenv(registry.VARIABLE, str(tmp_path / "models"))
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "user")
    (tmp_path / "models").mkdir()


def install(parent, name="test-model", seed=3, **fields):
    """Save a network with random weights under `parent`; return its folder, card and network."""
    card = make_card(id=name, **fields)
    module = network.build(card)
    randomise(module, seed)
    parent.mkdir(exist_ok=True)
    return parent / name, save_package(parent / name, card, module), module.eval()


def rewrite(folder, content: bytes) -> None:
    """Replace the weights and let the card state their checksum."""
    card = ModelCard.from_json(folder)
    (folder / "weights.safetensors").write_bytes(content)
    card = card.with_weights(Weights("weights.safetensors", hashlib.sha256(content).hexdigest()))
    (folder / "card.json").write_text(card.to_json(), encoding="utf-8")


def test_weights_whose_header_has_a_length_that_begins_as_a_pickle_does_are_read(tmp_path):
    folder, _, module = install(tmp_path / "models")
    content = (folder / "weights.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    padded = -(-length // 256) * 256 + 0x80
    header = content[8 : 8 + length].ljust(padded)
    rewrite(folder, padded.to_bytes(8, "little") + header + content[8 + length :])
    assert (folder / "weights.safetensors").read_bytes().startswith(b"\x80")
    _, loaded = network.load("test-model")
    assert torch.equal(loaded.output.weight, module.output.weight)


@pytest.mark.parametrize("variant", ["fusion", "interpretability_small", "v2"])
def test_a_saved_network_loads_as_it_was(tmp_path, variant):
    _, saved, module = install(tmp_path / "models", variant=variant, heads=(CONCENTRATION, ICE_TYPE))
    card, loaded = network.load("test-model")
    assert card == saved
    assert not loaded.training
    inputs = random_inputs(30, 40, 25, torch.float32)
    with torch.no_grad():
        assert torch.equal(loaded(*inputs), module(*inputs))
        assert loaded(*inputs).shape[1] == 4


def test_the_card_holds_the_checksum_of_the_file(tmp_path):
    folder, card, _ = install(tmp_path / "models")
    content = (folder / "weights.safetensors").read_bytes()
    assert card.weights.sha256 == hashlib.sha256(content).hexdigest()
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "weights.safetensors"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["test-model"]


def test_the_same_network_gives_the_same_bytes(tmp_path):
    first, _, _ = install(tmp_path / "a")
    second, _, _ = install(tmp_path / "b")
    for name in ("card.json", "weights.safetensors"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_saving_again_replaces_the_model_and_keeps_what_else_is_there(tmp_path):
    folder, first, _ = install(tmp_path / "models")
    (folder / "README.md").write_text("about")
    _, second, module = install(tmp_path / "models", seed=9)
    assert second.weights.sha256 != first.weights.sha256
    assert (folder / "README.md").read_text() == "about"
    _, loaded = network.load(folder)
    assert torch.equal(loaded.output.weight, module.output.weight)


@pytest.mark.parametrize("refused", ["weights.safetensors", "card.json", "README.md"])
def test_a_save_that_is_refused_half_way_leaves_the_earlier_package_whole(tmp_path, monkeypatch, refused):
    folder, _, _ = install(tmp_path / "models")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    replace = os.replace

    def refusing(source, target):
        if Path(target).name == refused and "floelens-tmp" in os.fspath(source):
            raise PermissionError(13, "held open", os.fspath(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refusing)
    card = make_card(id="test-model")
    module = network.build(card)
    with pytest.raises(OutputError, match="nothing was replaced"):
        save_package(folder, card, module, lambda _card: {"README.md": "about"})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    network.load(folder)


def test_a_failed_save_leaves_no_folder(tmp_path):
    card = make_card()
    module = network.build(card)
    module.output.weight.data[0, 0] = float("nan")
    with pytest.raises(ModelError, match=r"'output.weight' is not finite everywhere"):
        save_package(tmp_path / "models" / "bad", card, module)
    assert not list((tmp_path / "models").iterdir())
    with pytest.raises(OutputError, match=r"does not exist. Make it"):
        save_package(tmp_path / "no" / "bad", card, network.build(card))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file"):
        save_package(tmp_path / "file", card, network.build(card))


def test_a_write_error_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    card = make_card()
    with pytest.raises(OutputError, match="No space left on device"):
        save_package(tmp_path / "models" / "full", card, network.build(card))
    assert not list((tmp_path / "models").iterdir())


def test_a_network_of_another_shape_is_not_saved_under_a_card(tmp_path):
    other = network.build(make_card("fusion"))
    with pytest.raises(ModelError, match="does not match its weights"):
        save_package(tmp_path / "x", make_card("interpretability_small"), other)


def test_changed_weights_are_refused(tmp_path):
    folder, _, _ = install(tmp_path / "models")
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="are not those of the card: their sha256 is"):
        network.load("test-model")
    path.unlink()
    with pytest.raises(ModelError, match=r"weights\.safetensors of the model 'test-model' are missing"):
        network.load("test-model")


class Bomb:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (os.abort, ())


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_under_another_name_is_refused_unopened(tmp_path, kind):
    folder, _, _ = install(tmp_path / "models")
    if kind == "pickle":
        content = pickle.dumps(Bomb())
    else:
        torch.save({"output.weight": torch.zeros(1), "bomb": Bomb()}, tmp_path / "w")
        content = (tmp_path / "w").read_bytes()
    rewrite(folder, content)
    with pytest.raises(ModelError, match="hold pickled code"):
        network.load("test-model")


@pytest.mark.parametrize("content", [b"", b"\x10", b"\x05\x00\x00\x00\x00\x00\x00\x00hello", b"\xff" * 64])
def test_a_damaged_file_is_refused(tmp_path, content):
    folder, _, _ = install(tmp_path / "models")
    rewrite(folder, content)
    with pytest.raises(ModelError, match="are no valid safetensors file"):
        network.load("test-model")


def test_a_card_without_a_checksum_is_refused(tmp_path):
    folder, card, _ = install(tmp_path / "models")
    (folder / "card.json").write_text(card.with_weights(Weights()).to_json())
    with pytest.raises(ModelError, match=r"has no checksum \(weights.sha256\)"):
        network.load("test-model")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    safetensors = pytest.importorskip("safetensors.torch")
    folder, card, _ = install(tmp_path / "models")
    tensors = weights.load_weights(card, folder)
    tensors["conv1.bias"][0] = float("inf")
    rewrite(folder, safetensors.save(tensors))
    with pytest.raises(ModelError, match=r"values in 'conv1.bias' that are not finite"):
        network.load("test-model")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("missing", "'conv1.bias' is missing"),
        ("unknown", "'conv9.bias' is unknown"),
        ("shape", "'conv1.bias' is (3,) instead of (12,)"),
    ],
)
def test_a_card_that_does_not_match_its_weights_says_where(tmp_path, change, sentence):
    safetensors = pytest.importorskip("safetensors.torch")
    folder, card, _ = install(tmp_path / "models")
    tensors = weights.load_weights(card, folder)
    if change == "missing":
        del tensors["conv1.bias"]
    elif change == "unknown":
        tensors["conv9.bias"] = torch.zeros(1)
    else:
        tensors["conv1.bias"] = torch.zeros(3)
    rewrite(folder, safetensors.save(tensors))
    with pytest.raises(ModelError) as caught:
        network.load("test-model")
    assert "The card of 'test-model' does not match its weights" in str(caught.value)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        (
            Architecture("unet", {}),
            "names the architecture 'unet', which is not known. Known are: aspp_fusion",
        ),
        (
            Architecture("aspp_fusion", {"variant": "fusion", "depth": 3}),
            "an argument 'depth', which is not known",
        ),
        (Architecture("aspp_fusion", {"variant": "huge"}), "No network variant 'huge'"),
        (Architecture("aspp_fusion", {}), "does not name the network's variant"),
        (
            Architecture("aspp_fusion", {"variant": "fusion", "ratio": 50}),
            "ratio = 50, but its channels make it 25",
        ),
        (
            Architecture("aspp_fusion", {"variant": "fusion", "outputs": 2}),
            "outputs = 2, but its heads make it 1",
        ),
        (Architecture("aspp_fusion", {"variant": "fusion"}), "lists 84 components, but the last convolution"),
    ],
)
def test_a_card_that_contradicts_itself_builds_nothing(architecture, sentence):
    with pytest.raises(ModelError) as caught:
        network.build(changed(make_card("interpretability_small"), architecture=architecture))
    assert sentence in str(caught.value)


def test_channels_of_the_card_decide_the_inputs():
    card = make_card(channels=standard_channels(("hh", "hv", "incidence_angle", "btemp_18_7v"), 10), ratio=10)
    module = network.build(card)
    assert module(*random_inputs(12, 8, 10, torch.float32, channels=(3, 1))).shape == (1, 1, 12, 8)
    assert network.build(make_card(channels=standard_channels(("hh",)), ratio=50)).coarse_channels == 0


def test_models_are_found_by_id_folder_and_card(tmp_path):
    folder, _, _ = install(tmp_path / "models", "first-model")
    other, _, _ = install(tmp_path / "user", "second-model")
    assert registry.installed() == {"first-model": folder, "second-model": other}
    assert registry.find("first-model") == folder
    assert registry.find(folder) == folder
    assert registry.find(str(folder / "card.json")) == folder
    assert registry.load_card(other).id == "second-model"


def test_a_variable_may_name_a_package_or_several_folders(tmp_path, monkeypatch):
    first, _, _ = install(tmp_path / "x", "first-model")
    second, _, _ = install(tmp_path / "y", "second-model")
    monkeypatch.setenv(
        registry.VARIABLE, os.pathsep.join([str(first), str(second.parent), str(tmp_path / "none")])
    )
    assert list(registry.installed()) == ["first-model", "second-model"]


def test_an_unknown_model_lists_the_known_ones_and_is_never_another(tmp_path):
    with pytest.raises(ModelError, match="No model is installed; put packages into"):
        registry.find("first")
    install(tmp_path / "models", "first-model")
    for wrong in ("first", "FIRST-MODEL", "first-model2"):
        with pytest.raises(ModelError, match=f"There is no model '{wrong}'. Installed are: first-model"):
            registry.find(wrong)
    with pytest.raises(ModelError, match=r"No model is given. Installed are: first-model"):
        registry.find(" ")
    with pytest.raises(ModelError, match=r"is no model package: it has no card.json"):
        registry.find(tmp_path / "models")
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(ModelError, match="may hold pickled code"):
        registry.find(tmp_path / "w.pth")


def test_an_id_installed_twice_is_ambiguous(tmp_path):
    first, _, _ = install(tmp_path / "models")
    second, _, _ = install(tmp_path / "user")
    with pytest.raises(ModelError, match="is installed more than once") as caught:
        registry.find("test-model")
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)
    assert registry.find(second) == second


def test_a_damaged_package_does_not_hide_the_others(tmp_path):
    install(tmp_path / "models")
    broken = tmp_path / "models" / "broken"
    broken.mkdir()
    (broken / "card.json").write_text("{")
    half_written = tmp_path / "models" / ".x.123.floelens-tmp"
    half_written.mkdir()
    (half_written / "card.json").write_text(json.dumps({"id": "x"}))
    assert list(registry.installed()) == ["broken", "test-model"]
    with pytest.raises(ModelError, match="is no valid JSON"):
        registry.load_card("broken")


def test_a_missing_library_is_a_sentence_with_the_command(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(DependencyError, match=r"FloeLens needs safetensors.*pip install.* safetensors"):
        require("safetensors.torch")
