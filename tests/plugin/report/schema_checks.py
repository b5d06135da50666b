"""A check of values against the part of JSON Schema that our schemas use."""

from __future__ import annotations

import json

from floelens.tools.headless import ROOT

SCHEMAS = ROOT / "resources" / "schemas"
_TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}
_KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "required", "additionalProperties", "properties",
    "items", "const", "enum",
}  # fmt: skip


def schema(name: str) -> dict:
    """Return a schema of the resources."""
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))


def problems(value: object, rule: dict, whole: dict, where: str = "$") -> list[str]:
    """Return what is wrong with a value, each with its place."""
    assert set(rule) <= _KNOWN, f"this check does not know {set(rule) - _KNOWN}"
    if "$ref" in rule:
        return problems(value, whole["$defs"][rule["$ref"].rsplit("/", 1)[1]], whole, where)
    if "const" in rule and value != rule["const"]:
        return [f"{where} is {value!r}, not {rule['const']!r}"]
    if "enum" in rule and value not in rule["enum"]:
        return [f"{where} is {value!r}"]
    if "type" in rule:
        kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
        fits = any(
            isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
            for kind in kinds
        )
        if not fits:
            return [f"{where} is {value!r}, not {kinds}"]
    found = []
    if isinstance(value, dict):
        found += [f"{where} lacks {name}" for name in rule.get("required", ()) if name not in value]
        known = rule.get("properties", {})
        if rule.get("additionalProperties") is False:
            found += [f"{where}.{name} is not known" for name in value if name not in known]
        for name in value:
            if name in known:
                found += problems(value[name], known[name], whole, f"{where}.{name}")
    if isinstance(value, list) and "items" in rule:
        for at, item in enumerate(value):
            found += problems(item, rule["items"], whole, f"{where}[{at}]")
    return found
