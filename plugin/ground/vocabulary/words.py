"""The words of enums, and what each means, in the order that dialogs show."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..errors import ParameterError

Words = Mapping[str, str]
# The word of a class parameter for the class that is mapped at each pixel.
PREDICTED = "predicted"

DEVICES: Words = {
    "auto": "a CUDA device if there is one",
    "cpu": "the processor",
    "cuda": "a CUDA device, or an error",
}
PRECISIONS: Words = {
    "float32": "exact to about seven digits",
    "bfloat16": "to about two digits, faster where the processor has instructions for it; else float32",
}
UNITS: Words = {
    "db": "backscatter in decibels, which the networks that come along expect",
    "linear": "backscatter as linear power (sigma0)",
}
NOISE_CORRECTIONS: Words = {
    "esa": "by the noise tables of the product",
    "nersc": "by NERSC's factor and offset for each sub-swath (HV of EW; S1A and S1B by IPF 2.9 and 3.1), as the SAR "
    "of the AI4Arctic challenge, without its shift of the noise in range",
}
MODEL_FAMILIES: Words = {
    "auto": "by the names and shapes in the file",
    "autoice": "the U-Net of the AutoICE starter kit, 24 channels and three heads unless the file tells otherwise",
    "mmseaice": "the U-Net of MMSeaIce, 16 channels and a linear concentration",
    "uit": "the binary U-Net of UiT, HH, HV and incidence angle",
    "unet": "another U-Net; CHANNELS, ORDER and CARD say what the file does not tell",
    "asip": "the ASIP networks of Malmgren-Hansen et al., saved by Keras",
    "onnx": "any network in an ONNX file whose operators are known; CHANNELS and CARD say what the file does not tell",
    "nersc": "the ice-type network of NERSC on SAR and AMSR2 (.npz); CARD says its 18 channels",
}
CONCATENATIONS: Words = {
    "auto": "as in the family's published code",
    "upsampled_first": "what was upsampled, then the skip",
    "skip_first": "the skip, then what was upsampled",
}
PADDINGS: Words = {
    "auto": "as in the family's published code",
    "zeros": "by zeros",
    "reflect": "by a mirror image",
}
UPSAMPLINGS: Words = {
    "auto": "as in the family's published code; transposed convolutions show in the file",
    "aligned": "bilinear from corner to corner of the image, so that the network runs on whole scenes",
    "bilinear": "bilinear between the centres of pixels",
    "nearest": "each pixel repeated",
}
GEOREFERENCING: Words = {
    "gcps": "a mesh of ground control points along the flight, as Sentinel-1 products have, in polar stereographic",
    "projected": "polar stereographic with an affine transform",
}
CHANNEL_GROUPS: Words = {
    "channel": "each channel alone",
    "frequency": "by the radiometer's frequency; others by sensor",
    "polarisation": "by polarisation; channels without one by sensor",
    "sensor": "by sensor",
}
CONTRIBUTION_GROUPS: Words = {
    **CHANNEL_GROUPS,
    "scale": "by the scale of the features in the network's last layer; METHOD and BASELINE play no part",
}
CONTRIBUTION_METHODS: Words = {
    "integrated": "the effect of each channel along the path from the baseline, what gates decide included",
    "gated": "with the network's gates frozen as they are: fast; what the gates decide goes to the bias band",
}
RESOLUTIONS: Words = {
    "native": "every pixel of the SAR raster",
    "coarse": "means over the network's coarse cells, on their grid",
}
BASELINES: Words = {
    "mean": "each channel's mean in training",
    "blur": "the channel itself, blurred over BLUR km",
    "scene": "another scene, BASELINE_SAR and BASELINE_MWR, pixel by pixel from its upper left corner",
}
QUANTITIES: Words = {
    "map": "the probability in %, or what a linear head maps",
    "logit": "the network's logit",
}
CLUSTERS: Words = {
    "blocks": "square blocks of BLOCK_SIZE, whose pixels are not independent of each other",
    "scenes": "whole scenes, the better choice where states of many scenes are merged; the slopes of channels use them "
    "in any case from three labelled scenes on",
}
CHANNEL_METHODS: Words = {
    "integrated": "integrated gradients, the better judge",
    "gated": "with the network's gates frozen, several times faster",
    "none": "components only",
}
# Standardised inputs lie between - BOUND and BOUND; one beyond is its own bound.
BOUND = 4.0
FIRST_LAYERS: Words = {
    "default": "z_box for lrp_composite, same for the others",
    "same": "as other layers",
    "w_square": "by the squared weights, whatever the input",
    "flat": "in equal parts, whatever the input",
    "z_box": f"by the input's distance from bounds at {BOUND:g} standard deviations",
}
UNCERTAINTIES: Words = {
    "none": "one map",
    "smoothgrad": "noise on the inputs (NOISE, SAMPLES)",
    "dropout": "units dropped at random where the network has dropout (SAMPLES)",
    "ensemble": "several networks (ENSEMBLE)",
}


def default_word(words: Collection[str]) -> str:
    """Return the default of an enum: its first word."""
    return next(iter(words))


def check_word(parameter: str, word: str, words: Collection[str]) -> None:
    """Refuse a word that is none of a parameter's.

    Raises
    ------
    ParameterError
        It names the parameter, the word and those that there are.
    """
    if word not in words:
        raise ParameterError(f"Unknown {parameter} '{word}'. Choose one of: {', '.join(words)}.")
