"""The pictures of help pages: small, and part of the page."""

from __future__ import annotations

import pytest
from floelens.plugin.algorithms.framework import helptext

PICTURES = sorted(helptext.FOLDER.glob("*.png"))
LARGEST, WIDEST = 40_000, 260  # bytes, pixels


def test_the_tools_for_maps_have_pictures():
    assert {"predict", "relevance", "contributions", "zscores"} <= {path.stem for path in PICTURES}


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_is_small_and_stands_on_its_page(provider, path):
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    assert int.from_bytes(head[16:20], "big") <= WIDEST
    assert path.stat().st_size <= LARGEST
    assert path.as_uri() in provider.algorithm(path.stem).shortHelpString()
