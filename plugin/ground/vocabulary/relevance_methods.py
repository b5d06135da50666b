"""The relevance methods and their settings: one row each.

To add a method, add a row to :data:`METHODS` and what runs it to ``core/relevance/methods.py``; to add a setting, add a
field to :class:`MethodChoice`. Parameters, jobs, checks, tags and reports follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .settings import Setting


@dataclass(frozen=True)
class RelevanceMethod:
    """What the tool knows of a method beside how it is computed.

    Parameters
    ----------
    help : str
        For the list of words in a dialog.
    sentence : str
        What it does, for an analyst.
    named : str
        How logs and tags name it with its settings: a format of their values and of `origin`, the baseline.
    settings : tuple of str
        The settings it takes, of :data:`SETTINGS`.
    conservative : bool
        Whether relevance and what went elsewhere add up to the explained logits.
    times_input : bool
        Whether its numbers are parts or changes of the logit; else they are slopes.
    takes_baseline : bool
        Whether BASELINE changes it.
    from_baseline : bool
        Whether the rest is the logits of the baseline; else it is what biases take.
    propagates : bool
        Whether relevance goes back by rules of layers, so that FIRST_LAYER applies.
    parts_signs : bool
        Whether the rule looks at the signs of contributions, and gives nothing to biases.
    not_conserved : str
        Why relevance need not add up to the logit, where it need not.
    """

    help: str
    sentence: str
    named: str
    settings: tuple[str, ...] = ()
    conservative: bool = True
    times_input: bool = True
    takes_baseline: bool = False
    from_baseline: bool = False
    propagates: bool = False
    parts_signs: bool = False
    not_conserved: str = (
        "This method does not share out the logit, so its relevance need not add up to it; read its pattern."
    )

    @property
    def unit(self) -> str:
        """The unit of its maps; inputs count in standard deviations of their training data."""
        return "logit" if self.times_input else "logit per standard deviation"

    @property
    def short_unit(self) -> str:
        """The unit in few letters, for a legend."""
        return "logit" if self.times_input else "logit per sd"


METHODS: Mapping[str, RelevanceMethod] = {
    "gradient_x_input": RelevanceMethod(
        "gradient times the input's distance from its mean, exact and fast",
        "Gradient times input: each input's distance from its mean, times how steeply the logit changes with it here.",
        "gradient x input",
    ),
    "integrated_gradients": RelevanceMethod(
        "the same averaged along the path from the baseline (STEPS), seeing what gates decide",
        "Integrated gradients: each input's distance from its baseline, times the mean slope of the logit on the "
        "straight way from there.",
        "integrated gradients from {origin}, as exact as {steps} Gauss-Legendre nodes",
        settings=("steps",),
        takes_baseline=True,
        from_baseline=True,
    ),
    "lrp_epsilon": RelevanceMethod(
        "layer-wise relevance propagation with a small EPSILON, which damps weak evidence",
        "LRP-ε shares out the logit, layer by layer, in proportion to what each input contributed; where "
        "contributions cancel, ε withholds a part.",
        "LRP-ε, ε = {epsilon:g} of each layer's own contributions",
        settings=("epsilon",),
        propagates=True,
    ),
    "gradient": RelevanceMethod(
        "how steeply the logit changes with the input, no share of it",
        "The gradient says how steeply the logit changes with each input, not how much of the logit the input "
        "carries.",
        "gradient",
        conservative=False,
        times_input=False,
    ),
    "smoothgrad": RelevanceMethod(
        "mean gradient over noisy inputs (NOISE, SAMPLES), no share of the logit",
        "SmoothGrad is the mean gradient over noisy copies of the input: how steeply the logit changes nearby, not "
        "how much of it the input carries.",
        "SmoothGrad: mean gradient over {samples} draws of noise of {noise:g} standard deviations",
        settings=("samples", "noise", "seed"),
        conservative=False,
        times_input=False,
    ),
    "deeplift": RelevanceMethod(
        "DeepLIFT's rescale rule: differences to the baseline, layer by layer",
        "DeepLIFT (rescale) shares out the difference to the logit of the baseline, at each activation in proportion "
        "to what entered it.",
        "DeepLIFT, rescale rule, from {origin}",
        takes_baseline=True,
        from_baseline=True,
    ),
    "lrp_0": RelevanceMethod(
        "layer-wise relevance propagation without a stabiliser",
        "LRP-0 shares out the logit, layer by layer, in proportion to what each input contributed.",
        "LRP-0",
        propagates=True,
    ),
    "lrp_gamma": RelevanceMethod(
        "contributions of the sign of what they lead to count 1 + GAMMA times",
        "LRP-γ shares out the logit, layer by layer, and favours contributions that push the way their sum went.",
        "LRP-γ, γ = {gamma:g}",
        settings=("gamma",),
        propagates=True,
    ),
    "lrp_alpha_beta": RelevanceMethod(
        "ALPHA times what speaks for, ALPHA - 1 times what speaks against, weighed apart",
        "LRP-αβ shares out the logit, layer by layer, weighing what speaks for and what speaks against apart from "
        "each other. Batch norms, which have a single input, follow LRP-0.",
        "LRP-αβ, α = {alpha:g}, β = {beta:g}",
        settings=("alpha",),
        propagates=True,
        parts_signs=True,
    ),
    "lrp_zplus": RelevanceMethod(
        "what speaks for alone",
        "LRP-z⁺ shares out the logit, layer by layer, among what speaks for alone: evidence against leaves no trace "
        "of its own. Below 0 are inputs under a batch norm, which follows LRP-0, and those of logits below 0.",
        "LRP-z⁺",
        propagates=True,
        parts_signs=True,
    ),
    "lrp_composite": RelevanceMethod(
        "a rule for each kind of layer: z_box where inputs are read, GAMMA in wide convolutions, EPSILON in 1 x 1 "
        "convolutions and dense layers",
        "An LRP composite shares out the logit with one rule for each kind of layer: γ in convolutions that look "
        "around, ε in 1 × 1 convolutions and dense layers, another where inputs are read.",
        "LRP composite: γ = {gamma:g} in wide convolutions, ε = {epsilon:g} in dense layers and 1 x 1 convolutions",
        settings=("gamma", "epsilon"),
        propagates=True,
    ),
    "occlusion": RelevanceMethod(
        "what the logit loses without one PATCH of one channel; slow",
        "Occlusion writes on each patch what the logit loses when one channel stands at its baseline there.",
        "occlusion of patches of {patch} pixels, channel by channel, by {origin}",
        settings=("patch",),
        conservative=False,
        not_conserved="Patches that stand in for each other lose little alone, so that these losses need not add up to "
        "the logit.",
        takes_baseline=True,
    ),
}


# Where the doubling of the steps of integrated gradients ends.
MOST_STEPS = 512


def _setting(*row: Any, **named: Any) -> Any:
    """Return the field of a setting: its default, and the row that dialogs and reports are made of."""
    setting = Setting(*row, **named)
    return field(default=setting.default, metadata={"setting": setting})


@dataclass(frozen=True)
class MethodChoice:
    """A method and its settings, for jobs and for the science: each setting is declared here and nowhere else.

    Parameters
    ----------
    method : str
        A word of :data:`METHODS`.
    steps : int
        Gauss-Legendre nodes of integrated gradients to begin with; doubled until complete.
    epsilon : float
        ε of LRP-ε and of the composite, relative to Σ|z_ij| + |b_j| at each output of a layer.
    gamma : float
        γ of LRP-γ and of the composite.
    alpha : float
        α of LRP-αβ; β = α - 1.
    first_layer : str
        LRP: the rule of the layers that read the inputs, one of
        :data:`floelens.plugin.ground.vocabulary.words.FIRST_LAYERS`; ``default`` is ``z_box`` for the composite and
        ``same`` for the others.
    patch : int
        Occlusion: side of a patch, in fine pixels.
    samples, noise : int, float
        SmoothGrad: how often noise is drawn, and its standard deviation in standardised units.
    seed : int
        Of the noise, and of all else that is drawn.
    """

    method: str = next(iter(METHODS))
    steps: int = _setting(
        "Steps",
        "Gauss-Legendre nodes of integrated_gradients along the path from the baseline, to begin with; the bundled "
        "models take a step with secant slopes for two of them, which is no less exact at single pixels. Doubled, up "
        f"to {MOST_STEPS}, until the relevance of the channels that are not linear adds up and stands still.",
        32,
        1,
        4096,
        "steps",
    )
    epsilon: float = _setting(
        "Epsilon",
        "lrp_epsilon and lrp_composite add this share of Σ|z| + |b| to the denominator at each output of a layer.",
        1e-6,
        1e-12,
        1.0,
        "ε (relative to Σ|z| + |b| at each output of a layer)",
    )
    gamma: float = _setting("Gamma", "The γ of lrp_gamma and lrp_composite.", 0.25, 0.0, 1000.0, "γ")
    alpha: float = _setting(
        "Alpha", "The α of lrp_alpha_beta; β is α - 1.", 2.0, 1.0, 100.0, "α (β is α − 1)"
    )
    first_layer: str = _setting(
        "Rule of the first layer",
        "How the lrp methods pass relevance to the inputs.",
        "default",
        reported="rule of the first layer",
    )
    patch: int = _setting(
        "Patch (pixels)",
        "Side of what occlusion takes away at once; of radiometer channels as many whole cells as come "
        "closest. What a patch changes is written on its pixels in equal parts.",
        25,
        1,
        400,
        "patch (pixels)",
    )
    samples: int = _setting(
        "Samples",
        "How often METHOD=smoothgrad, and UNCERTAINTY by smoothgrad or dropout, draw.",
        16,
        2,
        1000,
        "samples",
    )
    noise: float = _setting(
        "Noise",
        "Standard deviation of the noise of smoothgrad, as a share of each channel's own in the training data.",
        0.2,
        1e-6,
        10.0,
        "noise (standard deviations)",
    )
    seed: int = _setting(
        "Seed", "Another number, other noise and other dropped units.", 0, 0, 2**31 - 1, "seed"
    )

    def settings(self) -> dict[str, Any]:
        """Return the values of all settings, by name."""
        return {name: getattr(self, name) for name in SETTINGS}


SETTINGS: Mapping[str, Setting] = {
    each.name: each.metadata["setting"] for each in fields(MethodChoice) if "setting" in each.metadata
}
