"""Errors are one sentence on one line."""

from __future__ import annotations

from floelens.plugin.ground.errors import SceneError


def test_reasons_of_several_lines_stand_on_one():
    assert str(SceneError("a.tif cannot be read (first.\n  second\n). Copy it  again.")) == (
        "a.tif cannot be read (first. second ). Copy it  again."
    )
