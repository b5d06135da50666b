"""The table of an ablation: one row a group of channels, the last for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .page.tables import csv_text, csvt_text

COLUMNS = (
    "group",
    "channels",
    "linear",
    "mean_change_logit",
    "mean_abs_change_logit",
    "rmse_map",
    "map_unit",
    "share_class_changed",
    "share_map_changed_10",
    "shapley",
    "shapley_abs",
    "pixels",
)
_TYPES = {
    "group": "String", "channels": "String", "linear": "String", "map_unit": "String", "pixels": "Integer64",
}  # fmt: skip


def ablation_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the table as CSV; a missing value is blank."""
    return csv_text(COLUMNS, rows)


def ablation_csvt() -> str:
    """Return the types of its columns."""
    return csvt_text(COLUMNS, _TYPES)
