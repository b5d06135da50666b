"""Damage to rasters and model packages, as tests of bad input need it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import rasterio
from floelens.tests.plugin.io.rasters import open_to_change


def change(path: str, bands: list[int] | None = None, names: bool = True, **profile: object) -> None:
    """Rewrite a raster with some of its bands, with or without their names, or another profile."""
    with rasterio.open(path) as source:
        numbers = bands or list(source.indexes)
        values = source.read(numbers)
        described = [source.descriptions[number - 1] for number in numbers]
        settings = {**source.profile, "count": len(numbers), **profile}
    with rasterio.open(path, "w", **{k: v for k, v in settings.items() if v is not None}) as target:
        target.write(values)
        if names:
            target.descriptions = described


def fill(path: str, value: float) -> None:
    """Put one value everywhere."""
    with open_to_change(path) as raster:
        for number in raster.indexes:
            raster.write(np.full(raster.shape, value, raster.dtypes[0]), number)


def cut(path: str, share: float) -> None:
    """Keep the beginning of a file."""
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: int(share * len(content))])


def with_weights(model: str, content: bytes, checksum: bool = True) -> None:
    """Put other weights into a package, with their checksum in its card or not."""
    folder = Path(model)
    card = json.loads((folder / "card.json").read_text())
    (folder / card["weights"]["file"]).write_bytes(content)
    if checksum:
        card["weights"]["sha256"] = sha256(content).hexdigest()
        (folder / "card.json").write_text(json.dumps(card))


def weights_of(model: Path) -> bytes:
    return (model / "weights.safetensors").read_bytes()
