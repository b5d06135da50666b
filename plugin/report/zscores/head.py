"""Scores of one head, as reports take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .ranking import Ranking, rank


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Scores of one head; the fields are the keys of ``ZScores.as_dict()``."""

    head: str
    kind: str
    classes: tuple[str, ...]
    components: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    groups: tuple[Mapping[str, Any], ...]
    bias: tuple[Mapping[str, Any], ...]
    shifts: tuple[Mapping[str, Any], ...]
    clusterings: tuple[Mapping[str, Any], ...]
    measures: Mapping[str, Any]
    correlation: np.ndarray
    warnings: tuple[str, ...] = ()
    relative_weights: tuple[Mapping[str, Any], ...] = ()
    leading: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def ranking(self) -> Ranking | None:
        """The components and groups ranked over all classes; None where nothing has a score."""
        refitted = self.measures.get("basis") == "refit"
        return rank(self.relative_weights, self.rows, refitted, self.measures.get("weights_fitted"))
