"""A checksum in JSON is no secret: no scanner takes it for one, and every reader gets it whole."""

from __future__ import annotations

import hashlib
import json
import re

import pytest
from floelens.plugin.ground.digests import with_escaped_digests
from floelens.tools.headless import ROOT

BARE = re.compile(r'"[0-9a-fA-F]{64}"')


@pytest.mark.parametrize("what", [b"weights", b"others", b""])
def test_json_with_escaped_digests_reads_back_the_same(what):
    content = {"sha256": hashlib.sha256(what).hexdigest(), "list": ["ab" * 32, "ab" * 31, "zz" * 32], "n": 1}
    text = with_escaped_digests(json.dumps(content))
    assert json.loads(text) == content
    assert BARE.search(json.dumps(content))
    assert not BARE.search(text)
    assert with_escaped_digests(text) == text


def test_no_file_of_the_bundled_models_holds_a_bare_digest():
    files = [*ROOT.glob("models/*/*.json")]
    assert len(files) >= 4
    assert not [path for path in files if BARE.search(path.read_text(encoding="utf-8"))]
