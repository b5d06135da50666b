"""Files of a model package read safely: regular files up to a limit, JSON that is neither deep nor huge.

Whoever made a package is not believed: a file may be a pipe that never ends, a device, or sparse and
larger than the memory, and a text in it may fill a screen. Sentences quote through :func:`shown`,
:func:`listed` and :func:`short_path`, so that each stays readable.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable
from typing import Any, BinaryIO, NoReturn

from ..ground.errors import ModelError

MOST_JSON_BYTES = 1 << 20
_DEPTH = 32
_DIGITS = 20
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"?', re.S)


def read_regular(path: str | os.PathLike, most_bytes: int) -> bytes:
    """Return the content of a file.

    Parameters
    ----------
    path : path
        The file; links are followed.
    most_bytes : int
        What it may have at most.

    Raises
    ------
    FileNotFoundError
        There is none.
    ModelError
        It is no regular file, larger than `most_bytes`, or cannot be read.
    """
    shown_path = short_path(path)
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            content = file.read(size + 1) if size <= most_bytes else b""  # no more is set aside than there is
            if len(content) > size:  # it grows
                content += file.read(most_bytes + 1 - len(content))
        except OSError as error:
            raise ModelError(
                f"{shown_path} cannot be read: {error.strerror}. Copy or download it again."
            ) from None
        except MemoryError:
            raise ModelError(
                f"{shown_path} has {_amount(size)}, for which the memory has no room. Close other programs."
            ) from None
    size = max(size, len(content))
    if size > most_bytes:
        raise ModelError(
            f"{shown_path} has {_amount(size)}, more than the {_amount(most_bytes)} that it can have. It is damaged: "
            "download or save the package again."
        )
    return content


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Return a file opened for reading; links are followed, nothing but a file with content is opened.

    Raises
    ------
    FileNotFoundError
        There is none.
    ModelError
        It is no regular file, or cannot be opened.
    """
    named = short_path(path)
    problem = ModelError(f"{named} is no file with content (a folder, pipe or device). Replace it.")
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise problem
        # A pipe may have come in between: without O_NONBLOCK opening it would wait for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = open(os.open(path, flags), "rb")  # noqa: SIM115  (closed by the caller)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"{named} cannot be read: {reason}. Check the path and your rights.") from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise problem
    return file


def read_json(path: str | os.PathLike, most_bytes: int = MOST_JSON_BYTES) -> Any:
    """Return the content of a JSON file without doubled fields, numbers out of range, or deep nesting.

    Raises
    ------
    FileNotFoundError
        There is none.
    ModelError
        It cannot be read as such; the sentence says why.
    """
    data = read_regular(path, most_bytes)
    try:
        return parse_json(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ModelError(
            f"{short_path(path)} cannot be read: it is no UTF-8 text. Download it again."
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise ModelError(
            f"{short_path(path)} is no valid JSON: {shown_text(error, 200)}. Mend or download it again."
        ) from None


def parse_json(text: str) -> Any:
    """Return the values of a JSON text.

    Raises
    ------
    ValueError
        It is no JSON, too deep, holds a field twice or a number out of range.
    """
    depth = 0
    for match in re.finditer(r"[\[\]{}]", _QUOTED.sub("", text)):
        depth += 1 if match[0] in "[{" else -1
        if depth > _DEPTH:
            raise ValueError(f"more than {_DEPTH} lists and objects lie inside one another")
    return json.loads(
        text,
        object_pairs_hook=_distinct,
        parse_constant=_refuse_constant,
        parse_int=_whole_number,
        parse_float=_real_number,
    )


def is_file(path: str | os.PathLike) -> bool:
    """Return whether a path leads to a regular file; never raises."""
    return os.path.isfile(path)


# Sentences


def shown(value: object, most: int = 60) -> str:
    """Return a value as a sentence quotes it, shortened, in time that does not depend on its size."""
    if isinstance(value, str):
        return repr(value if len(value) <= most else f"{value[: most - 1]}…")
    if isinstance(value, (list, tuple, dict)):
        return _shown_collection(value, most)
    try:
        return shown_text(repr(value), most)
    except ValueError:  # Python does not write out numbers of thousands of digits
        return "a number of thousands of digits"


def shown_text(value: object, most: int) -> str:
    """Return a text without its end where it is long."""
    text = str(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def listed(names: Iterable[object], most: int = 8) -> str:
    """Return names joined by commas, the first ones where there are many."""
    names = list(names)
    parts = [shown_text(name, 30) for name in names[:most]]
    return ", ".join(parts) + (f" and {len(names) - most} more" if len(names) > most else "")


def short_path(path: str | os.PathLike) -> str:
    """Return a path without its middle where it is long."""
    text = os.fspath(path).encode("utf-8", "replace").decode().replace("\0", "\\0").replace("\n", "\\n")
    return text if len(text) <= 160 else f"{text[:50]}…{text[-100:]}"


def _shown_collection(value: Any, most: int) -> str:
    is_object = isinstance(value, dict)
    parts = list(value.values()) if is_object else list(value[:5])
    if len(value) > 4 or any(isinstance(part, (list, tuple, dict)) for part in parts):
        return f"{'an object' if is_object else 'a list'} of {len(value)} entries"
    if is_object:
        return shown_text(
            "{" + ", ".join(f"{shown(k, 20)}: {shown(v, 20)}" for k, v in value.items()) + "}", most
        )
    return shown_text("[" + ", ".join(shown(part, 20) for part in parts) + "]", most)


def _amount(size: int) -> str:
    return f"{size / 2**20:.4g} MiB" if size >= 1 << 20 else f"{size} bytes"


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the field {shown(key)} stands there twice")
        content[key] = value
    return content


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number JSON knows")


def _whole_number(text: str) -> int:
    if len(text) > _DIGITS:
        raise ValueError(f"{text[:_DIGITS]}… is a number of {len(text)} digits")
    return int(text)


def _real_number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:_DIGITS]} is out of range")
    return value
