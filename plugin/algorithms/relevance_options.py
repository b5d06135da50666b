"""The advanced options of the relevance methods, and which method each belongs to."""

from __future__ import annotations

from . import declare
from .base import Destinations

METHODS = {
    "gradient_x_input": "gradient times the input's distance from its mean, exact and fast",
    "integrated_gradients": "the same averaged along the path from the baseline (STEPS), seeing what gates decide",
    "lrp_epsilon": "layer-wise relevance propagation with a small EPSILON, which damps weak evidence",
    "gradient": "how steeply the logit changes with the input, no share of it",
    "smoothgrad": "mean gradient over noisy inputs (NOISE, SAMPLES), no share of the logit",
    "deeplift": "DeepLIFT's rescale rule: differences to the baseline, layer by layer",
    "lrp_0": "layer-wise relevance propagation without a stabiliser",
    "lrp_gamma": "contributions of the sign of what they lead to count 1 + GAMMA times",
    "lrp_alpha_beta": "ALPHA times what speaks for, ALPHA - 1 times what speaks against, weighed apart",
    "lrp_zplus": "what speaks for alone",
    "lrp_composite": "a rule for each kind of layer: z_box where inputs are read, GAMMA in wide convolutions, "
    "EPSILON in 1 x 1 convolutions and dense layers",
    "occlusion": "what the logit loses without one PATCH of one channel; slow",
}
FIRST_LAYERS = {
    "default": "z_box for lrp_composite, same for the others",
    "same": "as other layers",
    "w_square": "by the squared weights, whatever the input",
    "flat": "in equal parts, whatever the input",
    "z_box": "by the input's distance from bounds at 4 standard deviations",
}
UNCERTAINTIES = {
    "none": "one map",
    "smoothgrad": "noise on the inputs (NOISE, SAMPLES)",
    "dropout": "units dropped at random where the network has dropout (SAMPLES)",
    "ensemble": "several networks (ENSEMBLE)",
}


def method_options() -> list:
    """Return the parameters."""
    return [
        declare.whole(
            "STEPS",
            "Steps",
            "Gauss-Legendre nodes of integrated_gradients along the path from the baseline, to begin with; the bundled "
            "models take a step with secant slopes for four of them, which is as exact at single pixels. Doubled, up "
            "to 512, until the relevance of the channels that are not linear adds up and stands still.",
            32,
            1,
            4096,
            advanced=True,
        ),
        declare.text(
            "BASELINE",
            "Baseline values",
            "Values in physical units that relevance is told against, as in hh=-20,btemp_36_5v=150, for "
            "integrated_gradients, deeplift and occlusion: another baseline gives another split. Channels that are not "
            "named stand at their training mean.",
            advanced=True,
        ),
        declare.number(
            "EPSILON",
            "Epsilon",
            "lrp_epsilon and lrp_composite add this share of Σ|z| + |b| to the denominator at each output of a "
            "layer.",
            1e-6,
            1e-12,
            1.0,
            advanced=True,
        ),
        declare.number(
            "GAMMA", "Gamma", "The γ of lrp_gamma and lrp_composite.", 0.25, 0.0, 1000.0, advanced=True
        ),
        declare.number(
            "ALPHA", "Alpha", "The α of lrp_alpha_beta; β is α - 1.", 2.0, 1.0, 100.0, advanced=True
        ),
        declare.choice(
            "FIRST_LAYER",
            "Rule of the first layer",
            "How the lrp methods hand relevance to the inputs.",
            FIRST_LAYERS,
            "default",
            advanced=True,
        ),
        declare.whole(
            "PATCH",
            "Patch (pixels)",
            "Side of what occlusion takes away at once; of radiometer channels as many whole cells as come "
            "closest. What a patch changes is written on its pixels in equal parts.",
            25,
            1,
            400,
            advanced=True,
        ),
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
        declare.whole(
            "SAMPLES",
            "Samples",
            "How often METHOD=smoothgrad, and UNCERTAINTY by smoothgrad or dropout, draw.",
            16,
            2,
            1000,
            advanced=True,
        ),
        declare.number(
            "NOISE",
            "Noise",
            "Standard deviation of the noise of smoothgrad, as a share of each channel's own in the training data.",
            0.2,
            1e-6,
            10.0,
            advanced=True,
        ),
        declare.whole(
            "SEED", "Seed", "Another number, other noise and other dropped units.", 0, 0, advanced=True
        ),
    ]


def chosen_options(values: Destinations) -> dict:
    """Return what was chosen, by the names of the job."""
    models = (name.strip() for name in values.text("ENSEMBLE").split(";"))
    return {
        "method": values.choice("METHOD"),
        "steps": values.whole("STEPS"),
        "baseline": values.text("BASELINE"),
        "epsilon": values.number("EPSILON"),
        "gamma": values.number("GAMMA"),
        "alpha": values.number("ALPHA"),
        "first_layer": values.choice("FIRST_LAYER"),
        "patch": values.whole("PATCH"),
        "uncertainty": values.choice("UNCERTAINTY"),
        "ensemble": tuple(name for name in models if name),
        "samples": values.whole("SAMPLES"),
        "noise": values.number("NOISE"),
        "seed": values.whole("SEED"),
    }
