"""Class activation maps, common scales and samples of features: their published words."""

from __future__ import annotations

from .settings import Setting

FULL, GRADCAM, GRADCAM_PLUS_PLUS, XGRADCAM = "full", "gradcam", "gradcam_plus_plus", "xgradcam"
CAMS = {
    FULL: "gradient x activation, summed over the features, at every pixel and with both signs",
    GRADCAM: "activations weighted by each feature's mean gradient in a sample; positive part",
    GRADCAM_PLUS_PLUS: "the same, weighted by where and how steeply the gradient is positive",
    XGRADCAM: "the same, with gradients weighted by activations",
}
"""Class activation maps."""

LINEAR, TANH, IMAGE = "linear", "tanh", "image"
SCALES = {
    LINEAR: "common: 0 at the median of the samples' minima, 1 at the 90th percentile of their maxima",
    TANH: "common: hyperbolic tangent, 0.05 and 0.95 there; nothing is cut off",
    IMAGE: "0 to 1 between the extremes of each sample: for comparison only, samples cannot be compared with it",
}
"""Intensity scales of a class activation map."""

TILES, POLYGONS, SCENE = "tiles", "polygons", "scene"
SAMPLES = {
    TILES: "squares of SAMPLE_SIZE",
    POLYGONS: "the polygons of ZONES, such as those of an ice chart",
    SCENE: "the whole scene as one",
}
"""What counts as a sample."""

SAMPLE_SIZE = Setting("Size of tiles (km)", "Side of square samples.", 10.0, 0.01, 10000.0)
SCALE_WIDTH = Setting(
    "Width of the linear scale",
    "Both limits are multiplied by it: 1, or up to 1.5 where few pixels stand out.",
    1.0,
    0.01,
    100.0,
)
KEEP = Setting(
    "Features kept (%)",
    "Share of the features, the most important first, that DECOMPOSED is made of.",
    25.0,
    0.01,
    100.0,
)
SHOWN = Setting(
    "Number of features to map",
    "How many features COMPONENT_MAPS has where COMPONENT is empty.",
    6,
    1,
    100,
)
SEED = Setting("Seed", "Of the random sets of features.", 0, 0, 2**31 - 1)
MWR_PATTERN = "sar=mwr"
"""How the name of a scene's radiometer raster follows from that of its SAR raster."""
