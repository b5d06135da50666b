"""What no annotation holds is refused before it costs time or memory."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.sentinel1.xml import MANIFEST_ELEMENTS, parse

LARGE = {
    "elements": b"<r>" + b"<a/>" * 1_000_000 + b"</r>",
    "names of elements": b"<r>" + b"".join(b"<a%d/>" % n for n in range(300_000)) + b"</r>",
    "nesting": b"<a>" * 100_000,
    "towers": b"<r>" + (b"<processing>" * 60 + b"</processing>" * 60) * 10_000 + b"</r>",
    "one attribute": b'<r a="' + b"x" * (20 << 20) + b'"/>',
    "attributes": b"<r " + b" ".join(b'a%d="1"' % n for n in range(1_000_000)) + b"/>",
    "attributes everywhere": b"<r>"
    + (b"<a " + b" ".join(b'a%d=""' % n for n in range(100)) + b"/>") * 5000
    + b"</r>",
    "a name": b"<" + b"r" * (10 << 20) + b"/>",
    "a short huge name": b"<" + b"r" * 1000 + b"/>",
    "namespaces": b"<r>" + b"".join(b'<a xmlns:n%d="u"/>' % n for n in range(300_000)) + b"</r>",
    "entities": b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><r>&b;</r>',
    "a document type": b"<!DOCTYPE r SYSTEM 'file:///etc/passwd'><r/>",
    "an external entity": b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]><r>&a;</r>',
    "an unknown entity": b"<r>&a;</r>",
    "an open comment": b"<r><!--" + b"x" * (5 << 20),
    "an open section": b"<r><![CDATA[" + b"x" * (5 << 20),
    "another encoding": b'<?xml version="1.0" encoding="utf-7"?><r/>',
    "two roots": b"<r/><r/>",
    "nothing": b"",
}


@pytest.mark.parametrize("name", LARGE)
def test_what_no_annotation_holds_is_a_sentence_at_once(name):
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(SceneError) as caught:
            parse(LARGE[name], "manifest.safe of S1A", MANIFEST_ELEMENTS)
        assert time.process_time() - start < 2
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 500
    assert "manifest.safe of S1A" in str(caught.value)


def test_what_annotations_hold_is_read():
    content = (
        b"<r>" + b"<a b='1' c='2'>x &lt; y</a>" * 5000 + b"<!-- a > b --><n>" + b"1 " * 500_000 + b"</n></r>"
    )
    root = parse(content, "annotation", MANIFEST_ELEMENTS)
    assert len(root.all("a")) == 5000
    assert root.text("a") == "x < y"
    assert len(root.numbers("n")) == 500_000
