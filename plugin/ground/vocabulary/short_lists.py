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
ORDER_MEANINGS: Mapping[str, str] = {
    Z: "|z|: the weight divided by its standard error",
    ROBUST: "robust |z|: the same, where pixels of one block may depend on each other",
    GROUP: "Wald test of the group: how surely the weights of a scale or frequency together are not zero",
    INFORMATION: "information share: a part of what varies in the logit",
    IMPORTANCE: "importance |IM|: what sets a class apart, the mean contribution in its samples less that in all",
}
"""What these orders go by."""
