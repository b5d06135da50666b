"""Dense networks that Keras stored as HDF5: the weights of each layer, and whether a ReLU follows.

A file of Keras 1 or 2 holds the network's layers as JSON in the attribute ``model_config`` and their arrays under
``model_weights/<layer>/<layer>/kernel:0`` and ``bias:0`` (*Keras documentation, Saving and serializing models*).
GDAL reads it; nothing of it is run.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from ...ground.errors import SceneError
from .cf.container import Container

Layer = tuple[np.ndarray, "np.ndarray | None", bool]
_PASSED = ("InputLayer", "Dropout", "Flatten")  # do nothing to a vector when the network is used


def read_dense(path: str | os.PathLike) -> list[Layer]:
    """Return the dense layers of a network of one row, each (weight (input, output), bias (output,) or None, ReLU).

    Raises
    ------
    SceneError
        The file is damaged, no network of Keras, or one of other layers.
    """
    with Container(path, "HDF5") as container:
        layers: list[Layer] = []
        for kind, settings in _configured(container):
            activation = settings.get("activation", "linear")
            if kind in _PASSED:
                continue
            if kind not in ("Dense", "Activation") or activation not in ("linear", "relu"):
                raise SceneError(
                    f"NETWORK: {path} has a layer {kind} with the activation '{activation}'; only dense layers, linear "
                    "or with ReLU, are read. Choose a network of such layers."
                )
            if kind == "Dense":
                name = settings.get("name", "")
                weight = _array(container, name, "kernel:0", 2)
                bias = _array(container, name, "bias:0", 1) if settings.get("use_bias", True) else None
                layers.append((weight, bias, activation == "relu"))
            elif activation == "relu" and layers:
                layers[-1] = (*layers[-1][:2], True)
    if not layers:
        raise SceneError(f"NETWORK: {path} has no dense layer. Choose a network of dense layers.")
    return layers


def _configured(container: Container) -> list[tuple[str, dict[str, Any]]]:
    """Return class and settings of each layer."""
    try:
        described = json.loads(container.whole_text("model_config"))
        if described["class_name"] != "Sequential":
            raise ValueError
        inner = described["config"]
        layers = inner["layers"] if isinstance(inner, dict) else inner  # a list until Keras 2.2
        return [(str(layer["class_name"]), dict(layer["config"])) for layer in layers]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SceneError(
            f"NETWORK: {container.path} does not describe a sequential network of Keras in 'model_config'. Save it "
            "with model.save('network.h5')."
        ) from error


def _array(container: Container, layer: str, name: str, dimensions: int) -> np.ndarray:
    values = np.asarray(container.nested(f"model_weights/{layer}/{layer}/{name}").stored())
    if (
        values.ndim != dimensions
        or not np.issubdtype(values.dtype, np.number)
        or not np.isfinite(values).all()
    ):
        raise SceneError(
            f"NETWORK: in {container.path} '{name}' of the layer '{layer}' is no finite array of {dimensions} "
            "dimensions. Copy or download the file again."
        )
    return values
