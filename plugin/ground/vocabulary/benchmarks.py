"""Words of the benchmarks: how much they do, and the methods that they judge."""

from __future__ import annotations

from .relevance_methods import METHODS
from .words import Words

SIZES: Words = {
    "quick": "linear network, MLP, CNN, and echo state networks of one leak rate; half a minute",
    "full": "also echo state networks of four leak rates fed in three directions, and more samples; minutes",
}
UNROLLED_RULES: Words = {
    "unrolled_zplus": "echo state networks: the unrolled rule with fixed portions of each state, by z⁺",
    "unrolled_epsilon": "the same, in proportion to what speaks for and against, by ε",
}
BENCHMARK_METHODS: Words = {**{word: method.help for word, method in METHODS.items()}, **UNROLLED_RULES}
DEFAULT_METHODS = ("gradient_x_input", "integrated_gradients", "lrp_epsilon", "lrp_zplus", "unrolled_zplus")

# What a method has to surpass before it is recommended.
CONTROLS: Words = {
    "sobel": "the size of the input's own gradient, an edge filter that knows no network",
    "laplace": "the size of the input's second differences, another edge filter",
    "random": "noise",
    "broken_swapped": "a map with its channels or inputs in another order",
    "broken_sign": "a map with its sign changed",
    "broken_shifted": "a map shifted by one pixel",
}
BROKEN_MAPS: Words = {
    "broken_swapped": "a map with channels or inputs swapped",
    "broken_sign": "a map of the other sign",
    "broken_shifted": "a map moved by one pixel",
}

UNINFORMATIVE = "uninformative"  # what a method is compared with beside the controls
SURE = 0.05  # a method is recommended where the chance that it surpasses these by accident is at most this
FEWEST_SAMPLES = 12  # of fewer no method is recommended
QUICK = "SIZE=quick is a first look: few samples and short training. Take a recommendation from SIZE=full."
