"""A model card in the words of STAC's Machine Learning Model extension: an item that lies in each package.

Where a network may be used is not known, nor when its data were taken: the item has no geometry, and its time has the
widest bounds, as the extension's own examples do.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from .card import HeadClass, ModelCard

MLM = "https://stac-extensions.github.io/mlm/v1.6.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
STAC_VERSION = "1.1.0"
MODEL_ROLE = "mlm:model"
_LICENCE = re.compile(r"[\w\-.+]+")
_EXPRESSIONS = {
    "sigmoid": {"format": "python", "expression": "torch.sigmoid"},
    "softmax": {"format": "python", "expression": "torch.nn.functional.softmax"},
}
_SHA256 = "1220"  # how a multihash of SHA-256 begins: its kind and its 32 bytes


def item_json(card: ModelCard) -> str:
    """Return the text of a package's STAC item; the same card gives the same text."""
    return json.dumps(mlm_item(card), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def mlm_item(card: ModelCard) -> dict[str, Any]:
    """Return the STAC item of a package: links lead to files beside it.

    Valid under STAC 1.1.0 and version 1.6.0 of the extension for machine learning models.
    """
    bands: list[dict[str, Any]] = []
    for c in card.channels:
        band = {"name": c.name, "unit": c.unit, "floelens:sensor": c.sensor, "floelens:grid": c.grid}
        bands.append({**band, "floelens:ratio": c.ratio} if c.ratio else band)
    model: dict[str, Any] = {
        "href": f"./{card.weights.file}",
        "title": "Weights",
        "type": "application/octet-stream",
        "roles": [MODEL_ROLE, "mlm:weights"],
        "mlm:artifact_type": "safetensors.torch.save_file",
        "bands": bands,
    }
    if card.weights.sha256:
        model["file:checksum"] = _SHA256 + card.weights.sha256
    properties: dict[str, Any] = {
        "title": card.title,
        "description": card.summary or card.title,
        "datetime": None,
        "start_datetime": "1900-01-01T00:00:00Z",
        "end_datetime": "9999-12-31T23:59:59Z",
        "license": card.licence if _LICENCE.fullmatch(card.licence) else "other",
        "gsd": card.pixel_size_m,
        "bands": bands,
        **mlm_properties(card),
    }
    if properties["license"] == "other":
        properties["floelens:licence"] = card.licence
    # A graph is in the card, layer by layer; in an item nobody would look for it.
    hyperparameters = properties.pop("mlm:hyperparameters", {})
    kept = {name: value for name, value in hyperparameters.items() if name != "graph"}
    if kept:
        properties["mlm:hyperparameters"] = kept
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [MLM, CLASSIFICATION, FILE],
        "id": card.id,
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": {
            "model": model,
            "card": {
                "href": "./card.json",
                "title": "Model card",
                "type": "application/json",
                "roles": ["metadata"],
            },
        },
    }


def mlm_properties(card: ModelCard) -> dict[str, Any]:
    """Return the STAC item properties of the Machine Learning Model extension.

    Inputs with bands and scaling, and outputs with classes, in the form of the extension since version 1.3.
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
            "post_processing_function": _EXPRESSIONS.get(head.kind),
            "floelens:kind": head.kind,
        }
        if head.unit:
            entry["floelens:unit"] = head.unit
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
