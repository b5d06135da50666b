"""What each method of relevance does, in words for an analyst."""

from __future__ import annotations

# What each method does, and what its numbers are, in a sentence or two.
_METHODS = {
    "gradient": "The gradient says how steeply the logit changes with each input, not how much of the logit the input "
    "carries.",
    "gradient_x_input": "Gradient times input: each input's distance from its mean, times how steeply the logit "
    "changes with it here.",
    "integrated_gradients": "Integrated gradients: each input's distance from its baseline, times the mean slope of "
    "the logit on the straight way from there.",
    "smoothgrad": "SmoothGrad is the mean gradient over noisy copies of the input: how steeply the logit changes "
    "nearby, not how much of it the input carries.",
    "deeplift": "DeepLIFT (rescale) shares out the difference to the logit of the baseline, at each activation in "
    "proportion to what entered it.",
    "lrp_0": "LRP-0 shares out the logit, layer by layer, in proportion to what each input contributed.",
    "lrp_epsilon": "LRP-ε shares out the logit, layer by layer, in proportion to what each input contributed; "
    "where contributions cancel, ε withholds a part.",
    "lrp_gamma": "LRP-γ shares out the logit, layer by layer, and favours contributions that push the way their "
    "sum went.",
    "lrp_alpha_beta": "LRP-αβ shares out the logit, layer by layer, weighing what speaks for and what speaks "
    "against apart from each other. Batch norms, which have a single input, follow LRP-0.",
    "lrp_zplus": "LRP-z⁺ shares out the logit, layer by layer, among what speaks for alone: evidence against "
    "leaves no trace of its own. Below 0 are inputs under a batch norm, which follows LRP-0, and those of logits "
    "below 0.",
    "lrp_composite": "An LRP composite shares out the logit with one rule for each kind of layer: γ in convolutions "
    "that look around, ε in 1 × 1 convolutions and dense layers, another where inputs are read.",
    "occlusion": "Occlusion writes on each patch what the logit loses when one channel stands at its baseline there.",
}
NOT_SHARED = {
    "occlusion": "Patches that stand in for each other lose little alone, so that these losses need not add up to the "
    "logit.",
}


def method_sentence(method: str) -> str:
    """Return what a method does."""
    return _METHODS[method]


def gives_slopes(method: str) -> bool:
    """Return whether a method's numbers are slopes of the logit, not shares of it or changes."""
    return method in ("gradient", "smoothgrad")


def relevance_unit(method: str) -> str:
    """Return the unit of a method's maps; inputs count in standard deviations of their training data."""
    return "logit per standard deviation" if gives_slopes(method) else "logit"


def short_unit(method: str) -> str:
    """Return the short unit of a method's maps."""
    return "logit per sd" if gives_slopes(method) else "logit"
