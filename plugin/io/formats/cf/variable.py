"""One array of a file: its dimensions and attributes, and its values as CF decodes them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from osgeo import gdal

from ....ground.errors import SceneError
from ....ground.window import Window
from ..mdarrays import number_type, read_numbers
from .packing import Packing, numbers

if TYPE_CHECKING:
    from .container import Container

LARGEST_ARRAY = 1 << 26
"""Elements of what is read whole: a half orbit of AMSR2 at 89 GHz has a million."""

_MAX_SMALL = 25_000_000  # values of an array that is decoded whole
_PROBES = 3  # places along each side where a large array is looked at to judge its valid range
_PROBE = 64


class Variable:
    """One array of a :class:`~.container.Container`.

    Attributes
    ----------
    dims : tuple of str
        Names of its dimensions.
    shape : tuple of int
        Their sizes.
    attributes : dict
        Numbers, texts, or lists of them.
    unit : str
        As the file writes it.
    is_text : bool
        Whether it holds strings.
    """

    def __init__(self, container: Container, name: str, array: Any) -> None:
        self.name = name
        self._container = container
        self._array = array
        dimensions = array.GetDimensions() or []
        self.dims = _distinct([d.GetName() for d in dimensions])
        self.shape = tuple(int(d.GetSize()) for d in dimensions)
        self.is_text = array.GetDataType().GetClass() == gdal.GEDTC_STRING
        self.attributes, self._types = attributes_of(array)
        # Drivers keep some of these to themselves.
        for key, value in (
            ("scale_factor", array.GetScale()),
            ("add_offset", array.GetOffset()),
            ("units", array.GetUnit() or None),
            ("_FillValue", _fill_value(array, self.attributes)),
        ):
            if value is not None:
                self.attributes.setdefault(key, value)
        self.unit = str(self.attributes.get("units", ""))
        self._packing: Packing | None = None

    def release(self) -> None:
        """Let go of the file; nothing can be read any more."""
        self._array = None

    @property
    def block_rows(self) -> int:
        """Rows that the file keeps together; 0 where it does not say."""
        blocks = self._array.GetBlockSize() or [0]
        return int(blocks[0])

    def check_shape(self, shape: tuple[int, ...], of: str) -> None:
        """Check that the array has the shape of `of`.

        Raises
        ------
        SceneError
            It has another one.
        """
        if self.shape != shape:
            raise SceneError(
                f"In {self._container.path} the variable '{self.name}' is {times(self.shape)}, but {of} "
                f"{times(shape)}. The file is damaged, or of a version that is not known."
            )

    def read(self, window: Window) -> np.ndarray:
        """Return (row, column), float64 or float32, in the variable's unit; NaN where there is no value.

        Raises
        ------
        SceneError
            The file is damaged there.
        """
        raw = self.raw([window.row, window.col], [window.rows, window.cols])
        return self.packing().decode(raw)

    def whole(self) -> np.ndarray:
        """Return all values of a small array, as `read` does.

        Raises
        ------
        SceneError
            The array is too large to be what it should, or damaged.
        """
        if math.prod(float(size) for size in self.shape) > _MAX_SMALL:
            raise SceneError(
                f"In {self._container.path} the variable '{self.name}' is {times(self.shape)}: too large "
                "for what it should hold. The file is damaged, or of a version that is not known."
            )
        raw = self.raw([0] * len(self.shape), list(self.shape))
        return self.packing(raw).decode(raw)

    def counted(self, index: dict[str, int] | None = None) -> tuple[np.ndarray, dict[str, int]]:
        """Return values, and how many cells have none, by why they have none.

        Parameters
        ----------
        index : dict, optional
            Which place to take along dimensions, by their names; those dimensions are gone.

        Returns
        -------
        values : numpy.ndarray
            Along the other dimensions, float64 or float32, NaN where there is no value.
        codes : dict
            Meaning of a flag, ``fill value`` or ``outside of the valid range``, to a number of cells.
        """
        raw = self._at(index or {})
        return self.packing(raw).counted(raw)

    def flagged(self, meaning: re.Pattern[str], index: dict[str, int] | None = None) -> np.ndarray:
        """Return where the array holds a flag whose meaning matches, along the dimensions of :meth:`counted`."""
        raw = self._at(index or {})
        packing = self.packing(raw)
        stored = packing.stored(raw)
        is_flagged = np.zeros(stored.shape, dtype=bool)
        for flag, text in packing.flags:
            if meaning.search(text):
                is_flagged |= stored == flag
        return is_flagged

    def _at(self, index: dict[str, int]) -> np.ndarray:
        """Return what is stored at places along some dimensions, which are gone then."""
        start = [index.get(name, 0) for name in self.dims]
        count = [1 if name in index else size for name, size in zip(self.dims, self.shape)]
        if not 0 < math.prod(float(size) for size in count) <= LARGEST_ARRAY:
            raise self._too_large()
        raw = self.raw(start, count)
        return raw.reshape([size for name, size in zip(self.dims, count) if name not in index])

    def stored(self, most: int = LARGEST_ARRAY) -> np.ndarray:
        """Return all of the array as it is stored.

        Raises
        ------
        SceneError
            It has no dimensions or more than `most` elements, holds no numbers, or cannot be read.
        """
        if not self.shape or not 0 < math.prod(self.shape) <= most:
            raise self._too_large()
        return self.raw([0] * len(self.shape), list(self.shape))

    def _too_large(self) -> SceneError:
        return SceneError(
            f"'{self.name}' in {self._container.path} has the shape {self.shape}, which no AMSR2 file has. "
            "The file is damaged: copy or download it again."
        )

    def texts(self) -> list[str]:
        """Return the strings of a small array of text."""
        if not self.is_text or not self.shape or self.shape[0] > 100_000:
            raise SceneError(
                f"In {self._container.path} the variable '{self.name}' holds no text. The file is damaged, "
                "or of a version that is not known."
            )
        with self._container.checked(f"cannot be read in the variable '{self.name}'"):
            values = self._array.Read()
        return [str(value) if value is not None else "" for value in values or []]

    def packing(self, sample: np.ndarray | None = None) -> Packing:
        """Return how values are stored; where its valid range may be read in two ways, `sample` decides."""
        if self._packing is None:
            packing = Packing.of(self.attributes, self._types, number_type(self._array) or "float64")
            if packing.ambiguous:
                packing, sentence = packing.settled(self._probe() if sample is None else sample)
                if sentence:
                    self._container.warn(sentence, self.name)
            self._packing = packing
        return self._packing

    def _probe(self) -> np.ndarray:
        """Return some of what is stored: small windows spread over the array."""
        places = [
            [max(0, round(part * (size - _PROBE) / (_PROBES - 1))) for part in range(_PROBES)]
            for size in self.shape[-2:]
        ]
        lead = [0] * (len(self.shape) - 2)
        parts = []
        for row in dict.fromkeys(places[0]):
            for col in dict.fromkeys(places[-1]):
                start = [*lead, row, col][-len(self.shape) :]
                count = [*(1 for _ in lead), *(min(_PROBE, n) for n in self.shape[-2:])]
                parts.append(self.raw(start, count).ravel())
        return np.concatenate(parts)

    def raw(self, start: list[int], count: list[int]) -> np.ndarray:
        """Return what is stored in a window."""
        what = f"cannot be read in the variable '{self.name}'"
        with self._container.checked(what) as errors:
            dtype = number_type(self._array)
            if not dtype:
                raise SceneError(
                    f"In {self._container.path} the variable '{self.name}' holds no numbers. The file is "
                    "damaged, or of a version that is not known."
                )
            if not count:  # a single value
                values = read_numbers(self._array)
            else:
                values = read_numbers(self._array, start, count) if all(count) else np.empty(count, dtype)
            if values is None or errors:
                raise self._container.damaged(what, errors[0] if errors else "a block cannot be decoded")
        return values


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Return names of dimensions, each of them once: a square array may have one dimension twice."""
    return tuple(name if name not in names[:at] else f"{name} ({at + 1})" for at, name in enumerate(names))


def times(shape: tuple[int, ...]) -> str:
    """Return a shape in words."""
    return " x ".join(str(size) for size in shape) or "a single value"


def attributes_of(owner: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return attributes as plain values, and the types of those that are numbers.

    Those that cannot be read are left out: references between dimensions and such.
    """
    attributes: dict[str, Any] = {}
    types: dict[str, str] = {}
    for attribute in owner.GetAttributes(["SHOW_ALL=YES"]) or ():
        try:
            name, value = attribute.GetName(), attribute.Read()
            kind = attribute.GetDataType()
            if kind.GetClass() == gdal.GEDTC_NUMERIC:
                types[name] = gdal.GetDataTypeName(kind.GetNumericDataType()) or ""
        except (RuntimeError, ValueError, TypeError, UnicodeError):
            continue
        if isinstance(value, str):
            value = re.sub(r"[\x00-\x1f\x7f]+", " ", value).strip()[:2000]
        if value is not None and isinstance(name, str) and name:
            attributes[name] = value
    return attributes, types


def _fill_value(array: Any, attributes: Mapping[str, Any]) -> float | None:
    """Return the fill value that GDAL knows; None where that is the missing value, which is another attribute."""
    if array.GetDataType().GetClass() != gdal.GEDTC_NUMERIC:
        return None
    value = array.GetNoDataValueAsDouble()
    return None if value is None or float(value) in numbers(attributes.get("missing_value")) else float(value)
