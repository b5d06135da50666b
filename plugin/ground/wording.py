"""How numbers and names are said in tables and sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def finite(value: float) -> float | None:
    """Return a Python float, or None where there is no finite number."""
    return float(value) if np.isfinite(value) else None


def listed(names: Sequence[str]) -> str:
    """Return names as one phrase: all of up to four, else three and how many more."""
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
