"""Dense networks of Keras: what is stored comes out layer by layer, anything else is named."""

from __future__ import annotations

import json

import netCDF4
import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.io.formats.keras_dense import read_dense

FIRST, SECOND = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((3, 1), np.float32)


def dense(name: str, activation: str, biased: bool) -> dict:
    return {"class_name": "Dense", "config": {"name": name, "activation": activation, "use_bias": biased}}


def stored(path, layers: list, kind: str = "Sequential", arrays: bool = True) -> str:
    """Write a file as Keras does."""
    with netCDF4.Dataset(path, "w") as file:
        padding = "x" * 3000  # longer than attributes of scenes are
        file.model_config = json.dumps({"class_name": kind, "config": {"name": padding, "layers": layers}})
        if arrays:
            for name, weight in (("one", FIRST), ("two", SECOND)):
                group = file.createGroup(f"model_weights/{name}/{name}")
                for axis, size in enumerate(weight.shape):
                    group.createDimension(f"d{axis}", size)
                group.createVariable("kernel:0", "f4", ("d0", "d1"))[:] = weight
                group.createVariable("bias:0", "f4", ("d1",))[:] = weight.sum(0)
    return str(path)


def test_layers_come_with_weights_biases_and_what_follows(tmp_path):
    layers = [
        dense("one", "linear", True),
        {"class_name": "Activation", "config": {"name": "a", "activation": "relu"}},
        {"class_name": "Dropout", "config": {"name": "d", "rate": 0.1}},
        dense("two", "linear", False),
    ]
    (first, bias, rectified), last = read_dense(stored(tmp_path / "network.h5", layers))
    np.testing.assert_array_equal(first, FIRST)
    np.testing.assert_array_equal(bias, FIRST.sum(0))
    assert rectified
    np.testing.assert_array_equal(last[0], SECOND)
    assert last[1:] == (None, False)


@pytest.mark.parametrize(
    ("layers", "options", "named"),
    [
        ([dense("one", "tanh", True)], {}, "activation 'tanh'"),
        ([{"class_name": "LSTM", "config": {"name": "one"}}], {}, "a layer LSTM"),
        ([], {}, "no dense layer"),
        ([], {"kind": "Model"}, "sequential network of Keras"),
        ([dense("one", "relu", True)], {"arrays": False}, "model_weights/one/one/kernel:0"),
    ],
    ids=["activation", "kind", "none", "graph", "missing"],
)
def test_what_is_no_network_of_dense_layers_is_named(layers, options, named, tmp_path):
    with pytest.raises(SceneError, match=named):
        read_dense(stored(tmp_path / "network.h5", layers, **options))


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "network.h5").write_text("nothing")
    with pytest.raises(SceneError, match="neither a NetCDF nor an HDF5"):
        read_dense(tmp_path / "network.h5")


def test_the_published_network_has_seven_layers_and_no_bias_on_the_last(real_data):
    layers = read_dense(real_data / "xai-mamalakis2022-trained-mlp" / "my_model.h5")
    sizes = [weight.shape for weight, _, _ in layers]
    assert sizes == [(458, 512), (512, 256), (256, 128), (128, 64), (64, 32), (32, 16), (16, 1)]
    assert [bias is None for _, bias, _ in layers] == [False] * 6 + [True]
    assert [rectified for *_, rectified in layers] == [True] * 6 + [False]
