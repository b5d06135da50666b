"""What scenes tell about the contributions of channels: sums for their strength, a sample for their slopes.

Strength needs sums only; slopes enter their regression nonlinearly, so that a bounded sample of labelled
pixels is kept (:mod:`.row_sample`). Both merge over scenes and machines in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from ....ground.errors import NumericalError, ParameterError
from ..estimation.regression import ChannelRows, curvature
from ..sums.row_sample import RowSample, pixel_keys, scene_number
from .levels import InputChannel


@dataclass(frozen=True, eq=False)
class ContributionSums:
    """Sums over pixels, labelled or not, at the network's own predictions.

    Parameters
    ----------
    n : int
        Number of pixels.
    information : numpy.ndarray
        (class + channel, class + channel): Fisher information of intercepts and slopes, all slopes 1.
    total, squares : numpy.ndarray
        (output, channel): sums of the contributions and of their squares; softmax: centred over the
        classes, since only that is defined by the map.
    n_labelled : int
        Number of labelled pixels.
    residual_squares : float
        Of the labelled pixels of a linear head.
    """

    n: int
    information: np.ndarray
    total: np.ndarray
    squares: np.ndarray
    n_labelled: int = 0
    residual_squares: float = 0.0

    def __add__(self, other: ContributionSums) -> ContributionSums:
        """Return the sums over the pixels of both."""
        return ContributionSums(
            n=self.n + other.n,
            information=self.information + other.information,
            total=self.total + other.total,
            squares=self.squares + other.squares,
            n_labelled=self.n_labelled + other.n_labelled,
            residual_squares=self.residual_squares + other.residual_squares,
        )


@dataclass(frozen=True, eq=False)
class ChannelEvidence:
    """All that the scores of channels need to know of the pixels seen, for one head.

    Parameters
    ----------
    head, kind : str
        Of the head.
    classes : tuple of str
        One an output.
    channels : tuple of InputChannel
        In the order of the contributions.
    method : str
        How the logit was split, with its baseline: evidence of one way only can be merged.
    sums : ContributionSums
        For the strengths.
    sample : RowSample
        For the slopes.
    """

    head: str
    kind: str
    classes: tuple[str, ...]
    channels: tuple[InputChannel, ...]
    method: str
    sums: ContributionSums
    sample: RowSample

    @classmethod
    def empty(
        cls,
        head: str,
        kind: str,
        classes: Sequence[str],
        channels: Sequence[InputChannel],
        method: str,
        capacity: int | None = None,
    ) -> ChannelEvidence:
        """Return the evidence of no pixel: merging it changes nothing."""
        outputs, c = len(classes), len(channels)
        size = (2 if kind == "sigmoid" else outputs) + c
        sums = ContributionSums(
            0, np.zeros((size, size)), np.zeros((outputs, c)), np.zeros((outputs, c)), 0, 0.0
        )
        sample = RowSample.empty(outputs, c, capacity)
        return cls(head, kind, tuple(classes), tuple(channels), method, sums, sample)

    def merge(self, other: ChannelEvidence) -> ChannelEvidence:
        """Return the evidence of both, as if their scenes had been seen together.

        Raises
        ------
        ParameterError
            If the other is of another head, of other channels, or of contributions made another way.
        """
        ours, theirs = (
            (part.head, part.kind, part.classes, part.channels, part.method) for part in (self, other)
        )
        if ours != theirs:
            raise ParameterError(
                f"Contributions of head '{other.head}' ({other.method}) cannot be merged with those of head "
                f"'{self.head}' ({self.method}): give states whose contributions were made in one way, of one model."
            )
        return replace(self, sums=self.sums + other.sums, sample=self.sample.merge(other.sample))

    @property
    def scene_count(self) -> int:
        """Number of scenes with labelled pixels in the sample."""
        return len(np.unique(self.sample.scenes))

    def header(self) -> dict:
        """Return what :meth:`arrays` does not hold, as plain values."""
        return {
            "head": self.head,
            "kind": self.kind,
            "classes": list(self.classes),
            "channels": [asdict(channel) for channel in self.channels],
            "method": self.method,
            "n": self.sums.n,
            "n_labelled": self.sums.n_labelled,
            "residual_squares": self.sums.residual_squares,
            "capacity": self.sample.capacity,
            "clusterings": sorted(self.sample.clusters),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the numbers, for a file."""
        sample = self.sample
        return {
            "information": self.sums.information,
            "total": self.sums.total,
            "squares": self.sums.squares,
            **{name: getattr(sample, name) for name in _SAMPLE},
            **{f"clusters{at}": sample.clusters[name] for at, name in enumerate(sorted(sample.clusters))},
        }

    @classmethod
    def of_file(cls, header: Mapping, arrays: Mapping[str, np.ndarray]) -> ChannelEvidence:
        """Return the evidence that :meth:`header` and :meth:`arrays` gave.

        Raises
        ------
        ValueError
            If an array has another shape or type than it must have.
        """
        channels = tuple(InputChannel(**channel) for channel in header["channels"])
        capacity = int(header["capacity"])
        empty = cls.empty(
            header["head"], header["kind"], header["classes"], channels, header["method"], capacity
        )
        rows = len(arrays["keys"])

        def checked(name: str, like: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
            if arrays[name].shape != shape or arrays[name].dtype != like.dtype:
                raise ValueError(f"array {name} has shape {arrays[name].shape}, not {shape}")
            return arrays[name]

        sums = ContributionSums(
            n=int(header["n"]),
            n_labelled=int(header["n_labelled"]),
            residual_squares=float(header["residual_squares"]),
            **{
                name: checked(name, getattr(empty.sums, name), getattr(empty.sums, name).shape)
                for name in ("information", "total", "squares")
            },
        )
        held = {
            name: checked(name, getattr(empty.sample, name), (rows, *getattr(empty.sample, name).shape[1:]))
            for name in _SAMPLE
        }
        clusters = {
            name: checked(f"clusters{at}", np.zeros(0, np.int32), (rows,))
            for at, name in enumerate(header["clusterings"])
        }
        return replace(empty, sums=sums, sample=RowSample(capacity, **held, clusters=clusters))


_SAMPLE = ("keys", "scenes", "offset", "contributions", "labels")


class ChannelAccumulator:
    """Takes batches of contributions of one scene and closes into mergeable evidence.

    Parameters
    ----------
    empty : ChannelEvidence
        Of no pixel: says which head, channels and method.
    scene : str
        What identifies the scene among all others, whatever run or machine sees it.
    drawn_by : str, optional
        What the pixels of the sample are drawn by, `scene` by default: two scenes may be drawn alike.
    """

    def __init__(self, empty: ChannelEvidence, scene: str, drawn_by: str | None = None) -> None:
        self._evidence = empty
        self._scene, self._drawn_by = scene, drawn_by or scene

    def add(
        self,
        offset: np.ndarray,
        contributions: np.ndarray,
        rows: np.ndarray,
        cols: np.ndarray,
        labels: np.ndarray | None = None,
        clusters: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Take a batch of pixels.

        Parameters
        ----------
        offset : numpy.ndarray
            (pixel,) or (pixel, output): the part of the logit that belongs to no channel.
        contributions : numpy.ndarray
            (pixel, channel) or (pixel, output, channel); with the offset they add up to the logit.
        rows, cols : numpy.ndarray
            (pixel,): place in the scene; it decides which pixels are kept.
        labels : numpy.ndarray, optional
            (pixel,), NaN where there is none; as for :meth:`.SceneAccumulator.add`.
        clusters : mapping of str to numpy.ndarray, optional
            For each clustering the cluster of every pixel in its scene, (pixel,).

        Raises
        ------
        NumericalError
            If a contribution is not finite.
        ParameterError
            If the shapes do not fit.
        """
        evidence = self._evidence
        n, outputs, c = len(rows), len(evidence.classes), len(evidence.channels)
        try:
            offset = np.asarray(offset).reshape(n, outputs)
            contributions = np.asarray(contributions).reshape(n, outputs, c)
        except ValueError:
            raise ParameterError(
                f"Head '{evidence.head}' has {outputs} outputs and {c} channels, but the contributions of {n} pixels "
                f"come with the shape {np.shape(contributions)} and an offset of {np.shape(offset)}; give "
                "(pixel, output, channel) and (pixel, output)."
            ) from None
        for at, channel in enumerate(evidence.channels):
            if not np.isfinite(contributions[:, :, at]).all():
                raise NumericalError(
                    f"The contribution of channel '{channel.name}' to head '{evidence.head}' is not a finite number "
                    "at some pixels; mask these pixels, or check the scene's values and the model's precision."
                )
        if not np.isfinite(offset).all():
            raise NumericalError(
                f"The part of head '{evidence.head}' that belongs to no channel is not a finite number; check the "
                "model's weights and precision."
            )
        if n == 0:
            return
        known = np.zeros(n, bool) if labels is None else ~np.isnan(labels)
        sums = evidence.sums + self._sums(offset, contributions, labels, known)
        new = RowSample(
            evidence.sample.capacity,
            pixel_keys(self._drawn_by, rows, cols)[known],
            np.full(int(known.sum()), scene_number(self._scene)),
            offset[known].astype(np.float32),
            contributions[known].astype(np.float32),
            np.zeros(0) if labels is None else np.asarray(labels, dtype=np.float64)[known],
            {name: np.asarray(ids)[known].astype(np.int32) for name, ids in (clusters or {}).items()},
        )
        self._evidence = replace(evidence, sums=sums, sample=evidence.sample.merge(new))

    def close(self, coarser: Mapping[str, Mapping[str, np.ndarray]] | None = None) -> ChannelEvidence:
        """Return the evidence of the scene; `coarser` as in :meth:`.SceneAccumulator.close`."""
        sample = self._evidence.sample
        clusters = {}
        for finer, ids in sample.clusters.items():
            for name, numbers in (coarser or {}).get(finer, {finer: None}).items():
                clusters[name] = ids if numbers is None else numbers[ids]
        return replace(self._evidence, sample=sample.regrouped(clusters))

    def _sums(
        self, offset: np.ndarray, contributions: np.ndarray, labels: np.ndarray | None, known: np.ndarray
    ) -> ContributionSums:
        kind = self._evidence.kind
        rows = ChannelRows.of(kind, offset, contributions, None)
        intercepts, slopes = np.zeros(rows.classes), np.ones(contributions.shape[2])
        parts = contributions.astype(np.float64)
        if kind == "softmax":
            parts = parts - parts.mean(axis=1, keepdims=True)
        residual = 0.0
        if kind == "linear" and known.any():
            logits = offset[known, 0] + contributions[known, 0].sum(axis=1, dtype=np.float64)
            residual = float(np.square(np.asarray(labels)[known] - logits).sum())
        return ContributionSums(
            len(offset),
            curvature(rows, intercepts, slopes).information,
            parts.sum(axis=0),
            np.square(parts).sum(axis=0),
            int(known.sum()),
            residual,
        )
