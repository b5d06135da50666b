"""What a STAC item beside a file of weights says of a network: fields of a card, where its file is silent.

``mlm:input`` has the channels in order with their scaling, ``mlm:output`` the heads with their classes. What an item
does not say, as the unit of a band, is that of the published channel of this name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...ground.errors import ModelError
from ..files import is_file, listed, parse_json, read_regular, short_path, shown, shown_text
from .published import FAMILIES, published_channel

_MOST_BYTES = 1 << 20
_MOST_PARTS = 1_000
_COLOUR = "#2c7fb8"
_OTHERS = ("stac-item.json", "item.json")


def item_beside(path: str) -> Path | None:
    """Return the STAC item of a machine-learning model that lies beside a file, or None.

    It has the file's name with the ending ``.json``, or is called stac-item.json or item.json and names the file as an
    asset: a folder of downloads may hold items of other models.
    """
    file = Path(path)
    if file.name == "saved_model.pb":
        file = file.parent
    for name in (f"{file.stem}.json", f"{file.name}.json", *_OTHERS):
        content = _read_item(file.parent / name)
        if content is not None and (name not in _OTHERS or _names(content, file.name)):
            return file.parent / name
    return None


def _read_item(path: Path) -> Mapping[str, Any] | None:
    """Return the values of an item; None where a file is missing or of another kind."""
    if not is_file(path):
        return None
    try:
        content = parse_json(read_regular(path, _MOST_BYTES).decode("utf-8"))
    except (ModelError, OSError, ValueError, RecursionError, MemoryError):
        return None
    return content if is_item(content) else None


def _names(content: Mapping[str, Any], file: str) -> bool:
    """Return whether an item has a file of this name as an asset."""
    assets = content.get("assets")
    parts = list(assets.values())[:_MOST_PARTS] if isinstance(assets, Mapping) else []
    hrefs = [part.get("href") for part in parts if isinstance(part, Mapping)]
    return any(isinstance(href, str) and href.rstrip("/").rsplit("/", 1)[-1] == file for href in hrefs)


def is_item(content: Any) -> bool:
    """Return whether JSON values are a STAC item with fields of a machine-learning model."""
    properties = content.get("properties") if isinstance(content, Mapping) else None
    return (
        isinstance(properties, Mapping)
        and content.get("type") == "Feature"
        and any(name in properties for name in ("mlm:input", "mlm:output"))
    )


def card_of_item(content: Mapping[str, Any], family: str, named: str) -> dict[str, Any]:
    """Return what an item says as fields of a card, in JSON values.

    Parameters
    ----------
    content : mapping
        The item.
    family : str
        Word of the family whose statistics hold where the item has none.
    named : str
        What sentences call it.

    Raises
    ------
    ModelError
        If a field is there and cannot be used.
    """
    properties = content["properties"]
    fields: dict[str, Any] = {}
    for name, source in (("title", "title"), ("summary", "description")):
        text = properties.get(source)
        if isinstance(text, str) and text.strip():
            fields[name] = text[:500]
    licence = properties.get("floelens:licence") or properties.get("license")
    if isinstance(licence, str) and licence not in ("other", "various", "proprietary", ""):
        fields["licence"] = licence
    size = properties.get("gsd")
    if _is_number(size) and size > 0:
        fields["pixel_size_m"] = size
    channels = _channels(content, properties, family, named)
    if channels:
        fields["channels"] = channels
    heads = _heads(properties, named)
    if heads:
        fields["heads"] = heads
    return fields


def _parts(properties: Mapping[str, Any], name: str, named: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    values = properties.get(name) or []
    if (
        not isinstance(values, list)
        or len(values) > _MOST_PARTS
        or not all(isinstance(v, Mapping) for v in values)
    ):
        raise _unusable(named, name, "it is no list of objects")
    return values


def _channels(
    content: Mapping[str, Any], properties: Mapping[str, Any], family: str, named: str
) -> list[dict[str, Any]]:
    inputs = _parts(properties, "mlm:input", named)
    described = _described(content, properties)
    cells = [part for part in inputs[1:] if isinstance(part.get("bands"), list)]
    ratio = _ratio(inputs[0], cells[0]) if cells else 1
    channels = []
    for part in inputs:
        bands = part.get("bands") or []
        scalings = part.get("value_scaling") or []
        if not isinstance(bands, list) or len(bands) > _MOST_PARTS or not isinstance(scalings, list):
            raise _unusable(named, "mlm:input", "bands or value_scaling are no lists")
        if len(scalings) not in (0, 1, len(bands)):
            raise _unusable(
                named, "mlm:input", f"it has {len(scalings)} entries of value_scaling for {len(bands)} bands"
            )
        for place, band in enumerate(bands):
            name = band.get("name") if isinstance(band, Mapping) else band
            if not isinstance(name, str) or not name:
                raise _unusable(named, "mlm:input", f"{shown(band)} is no name of a band")
            scaling = scalings[place if len(scalings) > 1 else 0] if scalings else None
            channels.append(_channel(name, described.get(name, {}), scaling, family, ratio, named))
    return channels


def _described(content: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return what the item says of its bands, by name."""
    assets = content.get("assets")
    places = [properties, *(assets.values() if isinstance(assets, Mapping) else ())]
    described: dict[str, Mapping[str, Any]] = {}
    for place in places[:100]:
        for field in ("bands", "eo:bands", "raster:bands"):
            bands = place.get(field) if isinstance(place, Mapping) else None
            for band in bands[:_MOST_PARTS] if isinstance(bands, list) else ():
                if isinstance(band, Mapping) and isinstance(band.get("name"), str):
                    described.setdefault(band["name"], band)
    return described


def _ratio(fine: Mapping[str, Any], coarse: Mapping[str, Any]) -> int:
    """Return how many pixels of the first input a pixel of another one has along a side, by their shapes; else 1."""
    sides = []
    for part in (fine, coarse):
        tensor = part.get("input")
        shape = tensor.get("shape") if isinstance(tensor, Mapping) else None
        side = shape[-1] if isinstance(shape, list) and shape else -1
        sides.append(side if isinstance(side, int) and 0 < side < 1 << 20 else 0)
    whole = sides[0] and sides[1] and sides[0] % sides[1] == 0
    return sides[0] // sides[1] if whole else 1


def _channel(
    name: str, band: Mapping[str, Any], scaling: Any, family: str, ratio: int, named: str
) -> dict[str, Any]:
    """Return a channel in JSON values: by its band, else as published."""
    try:
        published = published_channel(name, FAMILIES.get(family, FAMILIES["unet"]), ratio if ratio > 1 else 0)
    except ModelError:
        published = None
    known = (
        {}
        if published is None
        else {key: getattr(published, key) for key in ("sensor", "grid", "unit", "mean", "sd", "ratio")}
    )
    for key, source in (("unit", "unit"), ("sensor", "floelens:sensor"), ("grid", "floelens:grid")):
        if isinstance(band.get(source), str):
            known[key] = band[source]
    if isinstance(band.get("floelens:ratio"), int):
        known["ratio"] = band["floelens:ratio"]
    if scaling is not None:
        kind = scaling.get("type") if isinstance(scaling, Mapping) else None
        if kind != "z-score":
            raise _unusable(
                named,
                "mlm:input",
                f"the values of {shown(name)} are scaled by {shown(kind)}, not by mean and stddev",
            )
        known |= {"mean": scaling.get("mean"), "sd": scaling.get("stddev")}
    channel = {"name": name, "sensor": "other", "grid": "fine", "unit": "1", **known}
    if "mean" not in channel:
        raise _unusable(named, "mlm:input", f"it gives no value_scaling for {shown(name)}")
    if channel["grid"] == "fine":
        channel.pop("ratio", None)
    return {key: value for key, value in channel.items() if value is not None}


def _heads(properties: Mapping[str, Any], named: str) -> list[dict[str, Any]]:
    """Return the heads; none where the item does not tell the classes of one."""
    heads = []
    for number, part in enumerate(_parts(properties, "mlm:output", named)):
        name = part.get("name")
        name = name if isinstance(name, str) and name else f"output_{number + 1}"
        classes = part.get("classification:classes") or []
        if not isinstance(classes, list) or not all(isinstance(entry, Mapping) for entry in classes):
            raise _unusable(named, "mlm:output", f"the classes of {shown(name)} are no list of objects")
        if len(classes) >= 2:
            made = [_class(entry, place) for place, entry in enumerate(classes[:_MOST_PARTS])]
            heads.append({"name": name, "kind": "softmax", "classes": made})
            continue
        tasks = part.get("tasks")
        if not isinstance(tasks, list) or "regression" not in tasks:
            return []
        kind = part.get("floelens:kind")
        if kind not in ("sigmoid", "linear"):
            kind = (
                "sigmoid"
                if "sigmoid" in str(part.get("post_processing_function"))[:1000].lower()
                else "linear"
            )
        head: dict[str, Any] = {"name": name, "kind": kind}
        head["classes"] = [
            _class(classes[0], 1) if classes else {"name": name, "value": 1, "colour": _COLOUR}
        ]
        if isinstance(part.get("floelens:unit"), str):
            head["unit"] = part["floelens:unit"]
        heads.append(head)
    return heads


def _class(entry: Mapping[str, Any], place: int) -> dict[str, Any]:
    texts = [entry.get(key) for key in ("description", "title", "name")]
    name = next((text for text in texts if isinstance(text, str) and 0 < len(text) <= 60), f"class {place}")
    hint = entry.get("color_hint")
    shade = (place * 67) % 256  # where no colour is given classes still differ
    colour = f"#{hint}" if isinstance(hint, str) else f"#{shade:02x}{(255 - shade):02x}80"
    return {"name": name, "value": entry.get("value", place), "colour": colour}


def said_by_item(fields: Mapping[str, Any], path: str | os.PathLike) -> str:
    """Return a sentence on what was read from an item."""
    words = {"channels": "channels", "heads": "heads", "pixel_size_m": "pixel size", "licence": "licence"}
    return (
        f"From the STAC item {shown_text(Path(path).name, 60)} beside the file: "
        f"{listed(words.get(name, name) for name in fields)}."
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9


def _unusable(named: str, field: str, problem: str) -> ModelError:
    return ModelError(
        f"The STAC item {short_path(named)}, field {field}: {problem}. Give CARD, or move the item away."
    )
