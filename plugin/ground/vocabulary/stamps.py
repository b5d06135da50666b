"""Words and settings of the stamp benchmark: what is stamped, where, and how strongly."""

from __future__ import annotations

from .relevance_methods import METHODS
from .settings import Setting
from .words import Words

BRIGHT_POINT, DARK_LEAD, MWR_OFFSET = "bright_point", "dark_lead", "mwr_offset"
STAMPS: Words = {
    BRIGHT_POINT: "a bright point target: pixels that are CONTRAST dB brighter, in hv unless STAMP_CHANNELS says else",
    DARK_LEAD: "a dark lead: a straight line that is CONTRAST dB darker, in hh unless STAMP_CHANNELS says else",
    MWR_OFFSET: "radiometer cells that are MWR_OFFSET K warmer in one channel, 36.5 GHz H unless STAMP_CHANNELS says "
    "else",
}
# Channels that a stamp is put into: the first of them that the network reads.
STAMPED_CHANNELS = {
    BRIGHT_POINT: ("hv", "hh"),
    DARK_LEAD: ("hh", "hv"),
    MWR_OFFSET: ("btemp_36_5h", "btemp_18_7h", "btemp_89_0h"),
}
RANDOM, CENTRE = "random", "centre"
POSITIONS: Words = {
    RANDOM: "anywhere in the image, drawn for each",
    CENTRE: "in the middle of every image, so that a network may look at one place alone",
}
STAMP_EXTENTS: Words = {
    "quick": "few images and places, for a first look; a minute or two",
    "full": "more and larger images, more places: what a recommendation should rest on; minutes",
}
CLASSIFIER, MODEL = "classifier", "model"
PARTS: Words = {
    CLASSIFIER: "a network that is trained here to tell stamped images from regular ones: the stamp is the truth",
    MODEL: "the network MODEL as it is: whether the change of its relevance by a stamp lies on the stamp",
}
STAMP_METHODS: Words = {word: method.help for word, method in METHODS.items()}
STAMP_SIZE = Setting(
    "Size of the stamp",
    "Side of a bright point and width of a lead, in pixels; side of a radiometer stamp, in cells. A map that lies one "
    "pixel beside the truth misses a stamp of one pixel, but not one of several.",
    1,
    1,
    20,
)
CONTRAST = Setting(
    "Contrast (dB)", "How much brighter a point is, or darker a lead, than what was there.", 15.0, 0.1, 60.0
)
OFFSET_KELVIN = Setting(
    "Offset of the radiometer (K)",
    "What mwr_offset adds to the brightness temperature; below 0 it is colder.",
    30.0,
    -200.0,
    200.0,
)
# The methods of Jung and Kwon, and those of layer-wise relevance propagation that need no rule for each kind of layer.
STAMP_DEFAULT_METHODS = (
    "gradient_x_input",
    "integrated_gradients",
    "lrp_epsilon",
    "gradient",
    "smoothgrad",
    "deeplift",
    "lrp_zplus",
)
