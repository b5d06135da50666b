"""XML read safely: no document type, no entities, bounded depth; missing or malformed values named."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder  # nosec B405 # `parse` refuses entities
from xml.parsers import expat

import numpy as np

from ....ground.errors import SceneError

# Real annotations have up to 20,000 elements, manifests some 200; none has more than four attributes.
ELEMENTS = 200_000
MANIFEST_ELEMENTS = 10_000
_DEPTH = 64
_ATTRIBUTES = 64
_NAME = 200  # characters, with the namespace
_VALUE = 65536
_HUGE_TAG = re.compile(rb"<[^<>]{131072}")


class _Refused(Exception):
    """What no Sentinel-1 file holds."""


class Node:
    """An element of a file, whose values are asked for by path.

    Parameters
    ----------
    element : xml.etree.ElementTree.Element
        The element; names carry no namespace.
    file : str
        Name of its file, for messages.
    """

    def __init__(self, element: Element, file: str) -> None:
        self.element, self.file = element, file

    @property
    def tag(self) -> str:
        """Name of the element."""
        return self.element.tag

    def all(self, path: str) -> list[Node]:
        """Return the elements at `path`."""
        return [Node(element, self.file) for element in self.element.findall(path)]

    def has(self, path: str) -> bool:
        """Return whether there is an element at `path`."""
        return self.element.find(path) is not None

    def attribute(self, name: str) -> str:
        """Return an attribute, empty where there is none."""
        return self.element.get(name, "")

    def text(self, path: str, default: str | None = None) -> str:
        """Return the text at `path`."""
        content = self.element.findtext(path)
        if content is None or not content.strip():
            if default is not None:
                return default
            raise self.error(f"has no {path}")
        return content.strip()

    def integer(self, path: str) -> int:
        """Return the whole number at `path`."""
        text = self.text(path)
        try:
            value = int(text)
        except ValueError as error:
            raise self.error(f"has '{text[:40]}' as {path}, which is no whole number") from error
        if abs(value) > 1 << 31:
            raise self.error(f"has {text[:40]} as {path}, which is out of range")
        return value

    def number(self, path: str) -> float:
        """Return the finite number at `path`."""
        return float(self.numbers(path, count=1)[0])

    def numbers(self, path: str, count: int | None = None) -> np.ndarray:
        """Return the finite numbers at `path`, separated by blanks, float64; `count` of them if given."""
        words = self.text(path).split()
        try:
            values = np.array([float(word) for word in words])
        except ValueError as error:
            raise self.error(f"has something that is no number in {path}") from error
        if not np.isfinite(values).all():
            raise self.error(f"has a number that is not finite in {path}")
        if count is not None and len(values) != count:
            raise self.error(f"has {len(values)} numbers in {path} where {count} belong")
        return values

    def time(self, path: str) -> datetime:
        """Return the time at `path`, UTC."""
        text = self.text(path)
        try:
            return datetime.fromisoformat(text.rstrip("Z")[:26]).replace(tzinfo=timezone.utc)
        except ValueError as error:
            raise self.error(f"has '{text[:40]}' as {path}, which is no time") from error

    def error(self, what: str) -> SceneError:
        """Return the error that says what is wrong with the file."""
        return SceneError(f"{self.file} {what}. The product is damaged: copy or download it again.")


def parse(data: bytes, file: str, most_elements: int = ELEMENTS) -> Node:
    """Return the root element of an XML file.

    Parameters
    ----------
    data : bytes
        Its content.
    file : str
        Its name, for messages.
    most_elements : int
        How many elements it may have.

    Raises
    ------
    SceneError
        It is not well-formed, or holds what no annotation needs and an attack would.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > _DEPTH or count > most_elements:
            raise _Refused(f"more than {most_elements} elements, or more than {_DEPTH} inside one another")
        if len(name) > _NAME or len(attributes) > _ATTRIBUTES:
            raise _Refused("an element with a huge name or a crowd of attributes")
        if any(len(key) > _NAME or len(value) > _VALUE for key, value in attributes.items()):
            raise _Refused("a huge attribute")
        builder.start(name.rpartition("}")[2], attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name.rpartition("}")[2])

    def refuse(*_arguments: object) -> NoReturn:
        raise _Refused("a document type or entities")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        if _HUGE_TAG.search(data):  # what is in it would be taken apart before any of it can be refused
            raise _Refused("a huge element")
        parser.Parse(data, True)
        return Node(builder.close(), file)
    except _Refused as error:
        raise SceneError(
            f"{file} holds {error}: no Sentinel-1 file does. Download the product from its provider."
        ) from error
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as error:
        raise SceneError(
            f"{file} is no well-formed XML ({error}). Copy or download the product again."
        ) from error
