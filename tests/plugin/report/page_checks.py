"""What every page must be: well-formed, self-contained, with ids that are unique."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Outline(HTMLParser):
    """Checks nesting and collects text, ids and links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: dict[str, int] = {}
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags[tag] = self.tags.get(tag, 0) + 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "src", "xlink:href", "srcset", "action"):
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if not {"style", "svg"} & set(self.open):
            self.text.append(data)


def checked(page: str) -> Outline:
    """Return the outline of a page after checking it."""
    outline = Outline()
    outline.feed(page)
    outline.close()
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    for link in outline.links:
        assert link.startswith(("#", "data:")), f"the page links to {link}"
        if link.startswith("#"):
            assert link[1:] in outline.ids, f"{link} leads nowhere"
    for target in re.findall(r"url\(#([^)]+)\)", page):
        assert target in outline.ids
    assert "script" not in outline.tags
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("\nnan") == 0
    assert ">nan<" not in page
    assert ">inf<" not in page
    assert ">None<" not in page
    return outline
