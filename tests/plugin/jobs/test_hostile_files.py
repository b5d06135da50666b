"""How many files of strangers are tried, by the lists of the tests that try them."""

from __future__ import annotations

from floelens.tests.plugin.io.models.onnx.test_onnx_hostile import HOSTILE as ONNX
from floelens.tests.plugin.io.models.tensorflow.test_bundle import DAMAGED as SAVED_MODELS
from floelens.tests.plugin.jobs.test_exportmodel import HOSTILE as PACKAGES
from floelens.tests.plugin.networks.broken_packages import PACKAGES as BROKEN
from floelens.tests.plugin.networks.families.test_checkpoint import HOSTILE as CHECKPOINTS
from floelens.tests.plugin.networks.families.test_exported_program import HOSTILE as PROGRAMS


def test_at_least_sixty_hostile_files_are_tried_by_what_an_import_takes():
    """Each gets a sentence, runs nothing and leaves nothing: the tests of these lists see to it."""
    lists = {
        "checkpoints": CHECKPOINTS,
        "programs": PROGRAMS,
        "packages": PACKAGES,
        "onnx": ONNX,
        "tf": SAVED_MODELS,
    }
    assert {name: len(cases) > 15 for name, cases in lists.items()} == dict.fromkeys(lists, True)
    assert sum(map(len, lists.values())) >= 120
    assert len(BROKEN) >= 100  # packages that are installed already


def test_each_kind_of_attack_is_among_them():
    names = " ".join([*CHECKPOINTS, *PROGRAMS, *PACKAGES, *ONNX, *SAVED_MODELS])
    for kind in (
        "code",
        "terabytes",
        "bomb",
        "out of",
        "link",
        "not a number",
        "infinite",
        "unknown fields",
        "absurd",
    ):
        assert kind in names, kind
