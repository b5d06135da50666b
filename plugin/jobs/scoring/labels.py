"""The labels of a scene: what a chart says of its pixels, whether it is a chart of that kind, and rows for a refit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Union

import numpy as np

from ...core.zscores.sampling import label_targets
from ...core.zscores.sums.information import OutputLayer
from ...ground.errors import SceneError
from ...ground.protocols import Progress
from ...ground.window import Window
from ...ground.wording import listed
from ...io.files.row_file import RowFile
from ...io.formats.chart.codes import CONCENTRATION_CODES
from ...io.formats.labels import LabelReader
from ...io.geometry.grid import Grid
from ...networks.card import Head

# Rows and columns in a window: of single pixels, (pixel,) each, or of all, as slices.
Place = tuple[Union[np.ndarray, slice], Union[np.ndarray, slice]]


def pixel_rows(layer: OutputLayer) -> RowFile:
    """Return a temporary file for the labelled pixels of a head."""
    components = ("components", np.float32, (len(layer.components),))
    return RowFile(np.dtype([components, ("label", np.float64), ("block", np.int64)]))


def as_rows(file: RowFile, components: np.ndarray, labels: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Return the labelled pixels as rows of a temporary file."""
    known = ~np.isnan(labels)
    rows = np.empty(int(known.sum()), file.dtype)
    rows["components"], rows["label"], rows["block"] = components[known], labels[known], blocks[known]
    return rows


def rereading(file: RowFile, clustering: str, progress: Progress) -> Callable[[], Iterator]:
    """Return what reads the pixels of a temporary file anew, and stops where the user asks for it."""
    from ...core.streaming.engine import check_cancelled

    def batches() -> Iterator:
        for rows in file:
            check_cancelled(progress)
            yield rows["components"], rows["label"], {clustering: rows["block"]}

    return batches


_ROUNDING = 1.005  # of what is stored in another unit than %
_TENTHS = 10.0  # labels of a head in % that never exceed it may be tenths or class codes
_BEYOND = 16  # different values above 100: more are neither land nor gaps
_MANY = 64  # different values that are no class: more need not be remembered to know that it is no chart


class LabelKind:
    """Watches whether labels are of the kind a head needs: %, or codes of its classes.

    Parameters
    ----------
    head : Head
        What is judged.
    unit : str
        In which unit the file declares concentrations; empty where it says nothing.
    accept : bool
        Whether values that may be in another unit than % are taken for %.

    Attributes
    ----------
    usable : int
        Pixels so far whose value means something to the head.
    """

    def __init__(self, head: Head, unit: str = "", accept: bool = False) -> None:
        self.usable = 0
        self._head, self._unit, self._accept = head, unit, accept
        self._codes = {float(entry.value) for entry in head.classes}
        self._found: set[float] = set()
        self._foreign: set[float] = set()
        self._foreign_pixels = 0
        self._largest = 0.0
        # Whether % are whole numbers, and which of them there are.
        self._whole, self._seen = True, np.zeros(256, bool)
        self._beyond: set[float] = set()
        self._range = np.inf, -np.inf  # of what the labels mean

    def targets(self, values: np.ndarray) -> np.ndarray:
        """Take values (pixel,) as they stand in the raster, and return what they mean: :func:`label_targets`."""
        targets = label_targets(self._head, values)
        self.usable += int((~np.isnan(targets)).sum())
        self._watch(values)
        low, high = self._range
        self._range = np.nanmin(targets, initial=low), np.nanmax(targets, initial=high)
        return targets

    def _watch(self, values: np.ndarray) -> None:
        if self._head.kind == "sigmoid":
            known = values[values >= 0]  # NaN is none of them
            bytes_ = np.minimum(known, 255).astype(np.uint8)
            self._seen |= np.bincount(bytes_, minlength=256) > 0
            if len(self._beyond) <= _BEYOND:
                self._beyond.update(np.unique(known[known > 100]).tolist())
            self._whole = self._whole and bool((bytes_[known <= 100] == known[known <= 100]).all())
        values = values[(values >= 0) & (values <= 100)].astype(np.float64)  # others are masks
        if self._head.kind != "softmax":
            self._largest = max(self._largest, values.max(initial=0.0))
            return
        different, counts = np.unique(values, return_counts=True)
        for value, count in zip(different.tolist(), counts.tolist()):
            if value in self._codes:
                self._found.add(value)
                continue
            self._foreign_pixels += count
            if len(self._foreign) < _MANY:
                self._foreign.add(value)

    def _odd_percents(self) -> str:
        """Return why values that are taken for % may be none; empty where nothing says so.

        Raises
        ------
        SceneError
            So many different ones lie above 100 that they are in another unit.
        """
        percents = np.flatnonzero(self._seen[:101]).tolist()
        name = self._head.name
        if len(self._beyond) > _BEYOND:
            beyond = f"LABELS hold more than {_BEYOND} different values above 100 for head '{name}'"
            if not self._accept:
                raise SceneError(
                    f"{beyond}: they are in another unit than %. Turn them into % first, or set ACCEPT_RANGE to leave "
                    "out what is above 100."
                )
            return f"{beyond}, which count as having no label. If they are in another unit, turn them into % first."
        # Intervals in % end in 0 or 5 (an interval's middle); codes such as 13, 91 and 92 do not.
        codes = [value for value in percents if value % 5]
        if self._whole and len(codes) > 1 and CONCENTRATION_CODES.issuperset(percents):
            return (
                f"LABELS hold {listed([str(value) for value in codes])}, as codes of an ice chart (SIGRID-3) do; they "
                f"are taken for % for head '{name}'. If they are codes, let 'Import scene' turn the chart into %."
            )
        return ""

    def _few_percents(self, labels: str) -> str:
        """Return the warning of labels that never exceed 10; raises where nobody says that they are %."""
        fractions = self._largest <= 1
        other = "fractions or a mask" if fractions else "tenths or class codes"
        remedy = "multiply them by 100" if fractions else "turn them into % first"
        known = f"LABELS never exceed {self._largest:g} for head '{self._head.name}'"
        if not self._unit and not self._accept:
            raise SceneError(
                f"{known}, and {labels} declares no unit: they fit {other} as well as %. If they are {other}, "
                f"{remedy}; if they are %, set the unit of the band to %, or ACCEPT_RANGE."
            )
        return f"{known}: they are taken for %, next to no ice. If they are {other}, {remedy}."

    def warning(self, labels: str) -> str:
        """Return what a reader must know; empty where nothing is odd.

        Raises
        ------
        SceneError
            If the values cannot be codes of the classes: hardly any of them is one. If they may be fractions or tenths
        as well as %.
        """
        name = self._head.name
        if self._head.kind == "sigmoid" and 0 < self._largest <= _TENTHS:
            return self._few_percents(labels)
        if self._head.kind == "sigmoid" and (odd := self._odd_percents()):
            return odd
        same = ""
        if self.usable and self._range[0] == self._range[1]:
            same = (
                f"All labels of head '{name}' are the same: no slope or refit is possible, and pixels that were picked "
                "for what they are cannot judge the network."
            )
        if not self._foreign:
            return same
        values = listed([f"{value:g}" for value in sorted(self._foreign)])
        classes = ", ".join(f"{entry.value:g} {entry.name}" for entry in self._head.classes)
        if len(self._found) < 2 or len(self._foreign) > len(self._found):
            raise SceneError(
                f"LABELS {labels} hold {values}, which are no classes of head '{name}' ({classes}). They look like "
                "concentrations in % or codes of another chart. Give a raster of these class codes, or "
                "leave LABELS empty."
            )
        return (
            f"{self._foreign_pixels} sampled pixels of LABELS hold {values}, no class of head '{name}' ({classes}): "
            "they count as having no label."
        )


class SceneLabels:
    """The labels of a scene's pixels for every head, in the terms of the head.

    Parameters
    ----------
    path : str or None
        The raster, as it was named; None where there are no labels.
    heads : sequence of Head
        What is judged.
    grid : Grid
        Of the scene.
    stack : ExitStack
        Closes the raster.
    accept : bool
        Whether values that may be in another unit than % are taken for %.

    Attributes
    ----------
    converted : tuple of str
        The units that concentrations were converted from, as the file writes them.
    """

    def __init__(
        self,
        path: str | None,
        heads: Sequence[Head],
        grid: Grid,
        stack: ExitStack,
        accept: bool = False,
    ) -> None:
        self._path, self._heads = path, tuple(heads)
        self._readers = (
            [stack.enter_context(LabelReader.open(path, grid, head.name)) for head in heads] if path else []
        )
        units = [
            reader.concentration_unit() if head.kind == "sigmoid" else (1.0, "")
            for head, reader in zip(heads, self._readers)
        ]
        self._factors = [factor for factor, _ in units]
        self.converted = tuple(dict.fromkeys(said for factor, said in units if factor != 1.0))
        declared = [said for _, said in units] or [""] * len(heads)
        self._kinds = [LabelKind(head, unit, accept) for head, unit in zip(heads, declared)]

    def targets(self, window: Window, at: Place) -> list[np.ndarray]:
        """Return the labels of some pixels of a window, an array a head, and watch of which kind they are.

        Parameters
        ----------
        window : Window
            Pixels of the scene.
        at : tuple of numpy.ndarray
            (pixel,): rows and columns in the window.

        Returns
        -------
        list of numpy.ndarray
            As of :func:`label_targets`; empty without labels.
        """
        return [kind.targets(values) for kind, values in zip(self._kinds, self._values(window, at))]

    def meant(self, window: Window, at: Place) -> list[np.ndarray | None]:
        """Return what :meth:`known` does, for each head None without labels."""
        return [*self.known(window, at)] or [None] * len(self._heads)

    def known(self, window: Window, at: Place) -> list[np.ndarray]:
        """Return what :meth:`targets` does, and watch nothing."""
        return [label_targets(head, values) for head, values in zip(self._heads, self._values(window, at))]

    def _values(self, window: Window, at: Place) -> Iterator[np.ndarray]:
        """Yield what the raster holds at some pixels for each head, concentrations in %."""
        for reader, factor in zip(self._readers, self._factors):
            values = reader.read(window)[at]
            if factor != 1.0:
                values = values * np.float32(factor)
                values[(values > 100) & (values <= 100 * _ROUNDING)] = 100
            yield values

    def judged(self, start_time: str | None) -> tuple[str, ...]:
        """Return what a reader must know of the labels of a scene of that time.

        Raises
        ------
        SceneError
            If none is usable, or they are no codes of the classes.
        """
        odd = [kind.warning(str(self._path)) for kind in self._kinds]
        if self._path and not any(kind.usable for kind in self._kinds):
            raise SceneError(
                f"LABELS {self._path} has no usable value on the pixels sampled. Check that it covers the "
                "scene, and its band and codes."
            )
        odd += [reader.delay_warning(start_time) for reader in self._readers[:1]]
        return tuple(filter(None, odd))
