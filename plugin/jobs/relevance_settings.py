"""Settings of relevance methods: read from what a person wrote, and told in tags and reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.methods import Method

# How reports call the settings of methods.
SETTINGS = {
    "steps": "steps",
    "epsilon": "ε (relative to Σ|z| + |b| at each output of a layer)",
    "gamma": "γ",
    "alpha": "α (β is α − 1)",
    "first_layer": "rule of the first layer",
    "patch": "patch (pixels)",
    "samples": "samples",
    "noise": "noise (standard deviations)",
    "seed": "seed",
}
_USED = {
    "integrated_gradients": ("steps",),
    "lrp_epsilon": ("epsilon",),
    "lrp_gamma": ("gamma",),
    "lrp_alpha_beta": ("alpha",),
    "lrp_composite": ("gamma", "epsilon"),
    "smoothgrad": ("samples", "noise", "seed"),
    "occlusion": ("patch",),
}


def method_settings(method: Method) -> dict[str, object]:
    """Return the settings that a method used, by name."""
    used = {name: getattr(method, name) for name in _USED.get(method.name, ())}
    if method.propagates and method.first_rule != "same":
        used["first_layer"] = method.first_rule
    return used


def told_settings(method: Method) -> dict[str, object]:
    """Return the settings that a method used as a report tells them."""
    words = {"z_box": f"z_box (z^B, inputs within ±{method.bound:g} standard deviations)"}
    return {SETTINGS[name]: words.get(value, value) for name, value in method_settings(method).items()}
