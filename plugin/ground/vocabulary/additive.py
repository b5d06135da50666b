"""Words of the additive benchmark: where its samples come from, how much it does, and the methods that it judges."""

from __future__ import annotations

from .relevance_methods import METHODS
from .settings import Setting
from .words import Words

GENERATORS: Words = {
    "point": "normal inputs with a given covariance, the target a sum of piecewise linear functions of each",
    "shapes": "images of squares and circles, the class the one that covers more",
    "fusion": "scenes of SAR and radiometer channels, the target a sum of known functions of each at each pixel, and "
    "the fusion network of the bundled models",
}
ADDITIVE_SIZES: Words = {
    "quick": "few samples and short training, for a first look; a minute or two",
    "full": "networks of R² 0.98 and more, and enough samples for narrow intervals: what a recommendation should rest "
    "on; a quarter of an hour and more",
}
ADDITIVE_METHODS: Words = {word: method.help for word, method in METHODS.items()}
TRAINING_SAMPLES = Setting(
    "Training samples",
    "GENERATOR=point: samples that the network is trained on. 0: 100,000 of SIZE=full, fewer of quick. More are drawn "
    "anew in each pass; no more than 480 MB of them are held.",
    0,
    0,
    10_000_000,
    "training samples",
)
REPEATS = Setting(
    "Trainings of each network",
    "How often the network is trained, each time on other samples and from other weights; the report then has "
    "intervals over networks beside those over samples. Each takes as long as the first.",
    1,
    1,
    100,
)
