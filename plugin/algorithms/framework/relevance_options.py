"""The advanced options of the relevance methods, made of the rows of the vocabulary."""

from __future__ import annotations

from ...ground.vocabulary.relevance_methods import SETTINGS
from ...ground.vocabulary.words import FIRST_LAYERS, UNCERTAINTIES
from . import declare
from .base import Destinations


def method_options() -> list:
    """Return the parameters, in the order that dialogs show."""
    return [
        _setting("steps"),
        declare.text(
            "BASELINE",
            "Baseline values",
            "Values in physical units that stand for no evidence, as in hh=-20,btemp_36_5v=150, for "
            "integrated_gradients, deeplift and occlusion: another baseline gives another split. Channels that are not "
            "named stand at their training mean.",
            advanced=True,
        ),
        *(_setting(name) for name in ("epsilon", "gamma", "alpha", "first_layer", "patch")),
        declare.choice(
            "UNCERTAINTY",
            "Uncertainty",
            "Repeat the explanation and write mean and standard deviation: after the bands of the channels (hh, hv) "
            "come those of their deviations (hh_sd, hv_sd).",
            UNCERTAINTIES,
            "none",
            advanced=True,
        ),
        declare.text(
            "ENSEMBLE",
            "Further models",
            "For UNCERTAINTY=ensemble: ids or paths of networks beside MODEL, separated by semicolons. They read the "
            "same channels and map the same classes.",
            advanced=True,
        ),
        *(_setting(name) for name in ("samples", "noise", "seed")),
    ]


def _setting(name: str):
    """Return the parameter of a setting."""
    setting = SETTINGS[name]
    about = (name.upper(), setting.label, setting.help)
    if isinstance(setting.default, str):
        return declare.choice(*about, FIRST_LAYERS, setting.default, advanced=True)
    if setting.least is None or setting.most is None:
        raise ValueError(f"the number {name} has no least and largest value")
    if isinstance(setting.default, int):
        return declare.whole(*about, setting.default, int(setting.least), int(setting.most), advanced=True)
    return declare.number(*about, setting.default, setting.least, setting.most, advanced=True)


def chosen_options(values: Destinations) -> dict:
    """Return what was chosen, by the names of the job."""
    models = (name.strip() for name in values.text("ENSEMBLE").split(";"))
    settings = {}
    for name, setting in SETTINGS.items():
        read = {int: values.whole, float: values.number, str: values.choice}[type(setting.default)]
        settings[name] = read(name.upper())
    return {
        **settings,
        "method": values.choice("METHOD"),
        "baseline": values.text("BASELINE"),
        "uncertainty": values.choice("UNCERTAINTY"),
        "ensemble": tuple(name for name in models if name),
    }
