"""A model card in the words of STAC's Machine Learning Model extension."""

from __future__ import annotations

import copy
import re
from typing import Any

from .card import HeadClass, ModelCard


def mlm_properties(card: ModelCard) -> dict[str, Any]:
    """Return the STAC item properties of the Machine Learning Model extension.

    Inputs with bands and scaling, and outputs with classes, in the form of version 1.3 of the
    extension (https://stac-extensions.github.io/mlm/v1.3.0/schema.json).
    """
    inputs: list[dict[str, Any]] = []
    for name, channels in (("fine", card.fine_channels), ("coarse", card.coarse_channels)):
        if not channels:
            continue
        inputs.append(
            {
                "name": name,
                "bands": [channel.name for channel in channels],
                "input": _tensor(len(channels), "bands"),
                "description": "pixels of the SAR image"
                if name == "fine"
                else f"cells of {card.ratio} x {card.ratio} fine pixels",
                "value_scaling": [{"type": "z-score", "mean": c.mean, "stddev": c.sd} for c in channels],
                "resize_type": None,
            }
        )
    outputs: list[dict[str, Any]] = []
    for head in card.heads:
        task = "semantic-segmentation" if head.kind == "softmax" else "regression"
        entry: dict[str, Any] = {
            "name": head.name,
            "tasks": [task],
            "result": _tensor(head.outputs, "class"),
        }
        if head.kind == "softmax":
            entry["classification:classes"] = [_stac_class(c) for c in head.classes]
        outputs.append(entry)
    properties: dict[str, Any] = {
        "mlm:name": card.id,
        "mlm:architecture": card.architecture.name,
        "mlm:framework": "PyTorch",
        "mlm:tasks": sorted({task for entry in outputs for task in entry["tasks"]}),
        "mlm:input": inputs,
        "mlm:output": outputs,
    }
    hyperparameters = {
        k: v for k, v in card.architecture.arguments.items() if re.fullmatch(r"[0-9a-zA-Z_.-]+", k)
    }
    if hyperparameters:
        properties["mlm:hyperparameters"] = copy.deepcopy(hyperparameters)
    return properties


def _tensor(channels: int, axis: str) -> dict[str, Any]:
    return {
        "shape": [-1, channels, -1, -1],
        "dim_order": ["batch", axis, "height", "width"],
        "data_type": "float32",
    }


def _stac_class(head_class: HeadClass) -> dict[str, Any]:
    return {
        "value": head_class.value,
        "name": re.sub(r"[^0-9A-Za-z-]+", "_", head_class.name),
        "description": head_class.name,
        "color_hint": head_class.colour[1:].upper(),
    }
