"""What the values of an ONNX graph are while it is turned into a graph of layers.

A value is either an array that a layer computes, or known before the network runs: weights, settings, and sizes of
arrays. Sizes depend on the image. Where a file leaves them open they are followed for several images at once, so that
what a file computes of them (by how much to pad, to which size to bring an array) is recognised by its values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union

import numpy as np

# Axes of an array: sample, channel, row, column; or channels last.
FIRST, LAST = "first", "last"


@dataclass(frozen=True)
class Array:
    """What a layer computes.

    Parameters
    ----------
    name : str
        The node of the graph of layers, or one of its inputs.
    channels : {'first', 'last'}
        Where the file has its channels.
    flat : bool
        Whether the file has its channels, rows and columns as one list.
    groups : int
        Into how many groups of channels the file has put it, each as one list; 0: none.
    """

    name: str
    channels: str = FIRST
    flat: bool = False
    groups: int = 0


@dataclass(frozen=True)
class Known:
    """Numbers that are known before the network runs.

    Parameters
    ----------
    values : numpy.ndarray
        (…, image): for each of the images that are followed; one for all where they do not depend on it.
    """

    values: np.ndarray

    @classmethod
    def constant(cls, values: np.ndarray) -> Known:
        """Return numbers that depend on no image."""
        return cls(np.asarray(values)[..., None])

    @property
    def fixed(self) -> np.ndarray | None:
        """The numbers where they are the same for all images, else None."""
        first = self.values[..., :1]
        if self.values.shape[-1] > 1 and not np.array_equal(
            np.broadcast_to(first, self.values.shape), self.values
        ):
            return None
        return first[..., 0]


Value = Union[Array, Known, None]
