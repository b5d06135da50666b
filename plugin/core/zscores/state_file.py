"""The arrays of a state file: how the information of a head is laid down in them, and read back.

Symmetric matrices are stored as upper triangles. An archive that would grow beyond reason is refused before it is read.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from os import PathLike, fstat
from typing import BinaryIO

import numpy as np

from ...ground.errors import ModelError
from ...networks.card_parts import Component
from ...networks.files import open_regular
from .sums.cluster_sums import ClusterSums
from .sums.information import Fit, Information, LabelSums, OutputLayer, Sums, removals

# What no state is: states of many scenes have hundreds of arrays and shrink little when packed.
_MOST_ARRAYS = 20_000
_FREE_BYTES = 128 << 20
_MOST_RATIO = 50

_SUMS = ("logits", "means", "inputs", "divergence")  # of Sums, beside the pairs of outputs


def head_header(head: Information) -> dict:
    """Return what :func:`head_arrays` does not hold of a head, as plain values."""
    clusters = head.labels.clusters
    return {
        "head": head.layer.head,
        "kind": head.layer.kind,
        "classes": head.layer.classes,
        "components": [asdict(part) for part in head.layer.components],
        "n_unlabelled": head.unlabelled.n,
        "n_labelled": head.labelled.n,
        "fit": asdict(head.labels.fit),
        "clusterings": [[name, clusters[name].count] for name in sorted(clusters)],
    }


def head_arrays(head: Information, prefix: str) -> dict[str, np.ndarray]:
    """Return the numbers of a head, for a file; all names begin with `prefix`."""
    arrays: dict[str, np.ndarray] = {}
    for bucket in ("unlabelled", "labelled"):
        sums = getattr(head, bucket)
        arrays[f"{prefix}{bucket}/pairs"] = _packed(sums.pairs)
        for name in _SUMS:
            arrays[f"{prefix}{bucket}/{name}"] = getattr(sums, name)
    arrays[prefix + "weights"], arrays[prefix + "bias"] = head.layer.weights, head.layer.bias
    arrays[prefix + "lowest"], arrays[prefix + "highest"] = head.lowest, head.highest
    arrays[prefix + "score"] = head.labels.score
    for index, name in enumerate(sorted(head.labels.clusters)):
        clusters = head.labels.clusters[name]
        arrays[f"{prefix}clusters{index}/total"] = clusters.total
        if clusters.products is None and clusters.scores is not None:
            arrays[f"{prefix}clusters{index}/scores"] = clusters.scores
        elif clusters.products is not None:
            arrays[f"{prefix}clusters{index}/products"] = _packed(clusters.products)
    return arrays


@contextlib.contextmanager
def opened_archive(path: str | PathLike) -> Iterator[BinaryIO]:
    """Open a zip of arrays that does not grow beyond reason when it is read."""
    with open_regular(path) as file:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            expanded = sum(member.file_size for member in members)
        packed = fstat(file.fileno()).st_size
        if len(members) > _MOST_ARRAYS or expanded > max(_FREE_BYTES, _MOST_RATIO * packed):
            raise ValueError(
                f"{len(members)} arrays of {expanded / 2**20:.0f} MiB in {packed / 2**20:.3g} MiB"
            )
        file.seek(0)
        yield file


def read_head(arrays: Mapping[str, np.ndarray], prefix: str, header: dict) -> Information:
    """Return the information of a head from its entry in the header and the arrays of a file.

    Raises
    ------
    ValueError
        If an array has another shape or type than it should.
    KeyError
        If one is missing.
    """
    try:
        components = tuple(Component(**part) for part in header["components"])
    except ModelError as error:
        raise ValueError(f"components: {error}") from None
    layer = OutputLayer(
        head=header["head"],
        kind=header["kind"],
        classes=tuple(header["classes"]),
        components=components,
        weights=arrays[prefix + "weights"],
        bias=arrays[prefix + "bias"],
    )
    expected = Sums.empty(layer, len(removals(layer)))

    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        values = arrays[prefix + name]
        if values.shape != shape or values.dtype != np.float64:
            raise ValueError(f"array {prefix + name} has shape {values.shape}, not {shape}")
        return values

    def symmetric(name: str, shape: tuple[int, ...]) -> np.ndarray:
        size = shape[-1]
        return _unpacked(read(name, (*shape[:-2], size * (size + 1) // 2)), size)

    def sums(bucket: str, n: int) -> Sums:
        return Sums(
            int(n),
            symmetric(f"{bucket}/pairs", expected.pairs.shape),
            **{name: read(f"{bucket}/{name}", getattr(expected, name).shape) for name in _SUMS},
        )

    m = len(layer.components)
    size = layer.outputs * (1 + m)
    clusters = {}
    for index, (name, count) in enumerate(header["clusterings"]):
        total = read(f"clusters{index}/total", (size,))
        if f"{prefix}clusters{index}/scores" in arrays:
            scores = read(f"clusters{index}/scores", (int(count), size))
            clusters[name] = ClusterSums(int(count), total, scores=scores)
        else:
            products = symmetric(f"clusters{index}/products", (size, size))
            clusters[name] = ClusterSums(int(count), total, products=products)
    return Information(
        layer=layer,
        unlabelled=sums("unlabelled", header["n_unlabelled"]),
        labelled=sums("labelled", header["n_labelled"]),
        labels=LabelSums(
            score=read("score", (layer.outputs, 1 + m)),
            fit=Fit(**{name: float(value) for name, value in header["fit"].items()}),
            clusters=clusters,
        ),
        lowest=read("lowest", (m,)),
        highest=read("highest", (m,)),
    )


def _packed(matrices: np.ndarray) -> np.ndarray:
    """Return the upper triangles (..., triangle) of symmetric matrices (..., row, column)."""
    return matrices[(..., *np.triu_indices(matrices.shape[-1]))]


def _unpacked(triangles: np.ndarray, size: int) -> np.ndarray:
    """Return the symmetric matrices of upper triangles."""
    rows, cols = np.triu_indices(size)
    matrices = np.empty((*triangles.shape[:-1], size, size))
    matrices[..., rows, cols] = triangles
    matrices[..., cols, rows] = triangles
    return matrices


class Prefixed(Mapping):
    """The arrays of a file whose names begin with a prefix, under the rest of their names."""

    def __init__(self, arrays: Mapping[str, np.ndarray], prefix: str) -> None:
        self._arrays, self._prefix = arrays, prefix

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[self._prefix + name]

    def __iter__(self) -> Iterator[str]:
        return (name[len(self._prefix) :] for name in self._arrays if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)
