"""What the components of a short list are ordered by."""

from __future__ import annotations

from collections.abc import Mapping

Z, ROBUST, GROUP, INFORMATION, IMPORTANCE = "z", "z_robust", "group", "information", "importance"
ORDERS: Mapping[str, str] = {
    Z: "|z|",
    ROBUST: "robust |z|",
    GROUP: "Wald test of the group",
    INFORMATION: "information share",
    IMPORTANCE: "importance |IM|",
}
