"""What numpy and zipfile raise when an ``.npz`` file is damaged, or is another program's."""

from __future__ import annotations

import zlib
from tokenize import TokenError
from zipfile import BadZipFile

# Of 13,000 files with one byte changed, 40 raised the less usual ones: headers are Python text, and members may seem
# to be encrypted or packed in another way.
DAMAGED: tuple[type[Exception], ...] = (
    OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, MemoryError, OverflowError, RuntimeError,
    SyntaxError, TokenError, BadZipFile, zlib.error,
)  # fmt: skip
