"""The advanced options of the relevance methods, made of the rows of the vocabulary."""

from __future__ import annotations

from ...ground.errors import ParameterError
from ...ground.vocabulary.relevance_methods import SETTINGS
from ...ground.vocabulary.settings import CAP, OFFSET
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


def method_settings() -> list:
    """Return the parameters of the methods' settings alone."""
    return [_setting(name) for name in SETTINGS]


def focus_options() -> list:
    """Return the parameters of what the network is allowed to see."""
    options = [
        declare.setting("CAP", CAP),
        declare.setting("OFFSET", OFFSET),
        declare.text(
            "MASK_FILL",
            "Fill of gaps and land (standard deviations)",
            "What the network reads at masked and missing SAR pixels, in standard deviations from the training mean; "
            "the fill of the model's card where empty.",
            advanced=True,
        ),
    ]
    # Models that people have saved have no values for them: what is not optional would make these invalid.
    return [declare.as_optional(option) for option in options]


def chosen_focus(values: Destinations) -> dict:
    """Return what the network is allowed to see, by the names of the job."""
    fill = values.text("MASK_FILL")
    try:
        mask_fill = float(fill) if fill else None
    except ValueError:
        raise ParameterError(
            f"MASK_FILL is '{fill}'; give a number of standard deviations, or leave it empty."
        ) from None
    return {"cap": values.number("CAP"), "offset": values.number("OFFSET"), "mask_fill": mask_fill}


def _setting(name: str):
    """Return the parameter of a setting."""
    setting = SETTINGS[name]
    if isinstance(setting.default, str):
        about = (name.upper(), setting.label, setting.help)
        return declare.choice(*about, FIRST_LAYERS, setting.default, advanced=True)
    return declare.setting(name.upper(), setting)


def chosen_options(values: Destinations) -> dict:
    """Return what was chosen, by the names of the job."""
    models = (name.strip() for name in values.text("ENSEMBLE").split(";"))
    return {
        **chosen_settings(values),
        "method": values.choice("METHOD"),
        "baseline": values.text("BASELINE"),
        "uncertainty": values.choice("UNCERTAINTY"),
        "ensemble": tuple(name for name in models if name),
    }


def chosen_settings(values: Destinations) -> dict:
    """Return the settings of the methods, by name."""
    settings = {}
    for name, setting in SETTINGS.items():
        read = {int: values.whole, float: values.number, str: values.choice}[type(setting.default)]
        settings[name] = read(name.upper())
    return settings
