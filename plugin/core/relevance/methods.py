"""Relevance methods: their words, their settings, and what runs them.

=========================  ==========================================================  =============
word                       relevance of an input x                                     baseline x₀
=========================  ==========================================================  =============
``gradient``               ∂f/∂x, without the factor x                                 none
``gradient_x_input``       ∂f/∂x · x                                                   0, the mean
``integrated_gradients``   ∫₀¹ ∂f/∂x at x₀ + t (x - x₀) dt · (x - x₀)                  a parameter
``smoothgrad``             mean of ∂f/∂x over noisy inputs, without the factor x       none
``deeplift``               multipliers of differences (rescale rule) · (x - x₀)        a parameter
``lrp_0``                  z_ij/z_j; on ReLU networks gradient x input                 0, the mean
``lrp_epsilon``            z_ij/(z_j + ε)                                              0, the mean
``lrp_gamma``              contributions of the output's sign count 1 + γ times        0, the mean
``lrp_alpha_beta``         α of what speaks for, β of what speaks against              0, the mean
``lrp_zplus``              what speaks for alone: α = 1, β = 0                         0, the mean
``lrp_composite``          a rule for each kind of layer, see below                    0, the mean
``occlusion``              f - f with a patch of one channel at its baseline           a parameter
=========================  ==========================================================  =============

Sources: Sundararajan et al. 2017 (arXiv 1703.01365), Smilkov et al. 2017 (arXiv 1706.03825), Shrikumar et
al. 2017 (arXiv 1704.02685), Bach et al. 2015 (doi 10.1371/journal.pone.0130140), Zeiler and Fergus 2014
(arXiv 1311.2901); :mod:`.rules` has the formulas of LRP layer by layer.

The composite follows Montavon et al. 2019 (doi 10.1007/978-3-030-28954-6_10) and Kohlbrenner et al. 2020
(arXiv 1910.09840): z^B where the inputs are read, γ = 0.25 in convolutions that look around, ε in dense
layers and 1 x 1 convolutions, LRP-0 in batch norms. z^B, not flat or w², since these do not look at the
input: all channels of a pixel would come out with the same pattern.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...ground.errors import ParameterError
from ...ground.vocabulary.relevance_methods import METHODS, SETTINGS, RelevanceMethod, default_of
from ...ground.vocabulary.words import FIRST_LAYERS, check_word
from ...ground.window import Window
from ..layers.activations import Tangent, Whole
from ..layers.rules import (
    AffineRule,
    AlongEpsilon,
    AlongGamma,
    AlongSigns,
    ByKind,
    DropoutRule,
    Rules,
    WithinBox,
    along_gradient,
    by_squares,
    evenly,
)
from ..streaming.runner import Runner
from .explainers import (
    Check,
    Explainer,
    PathExplainer,
    RescaleExplainer,
    SecantExplainer,
    SmoothExplainer,
    Walked,
    WalkExplainer,
)
from .fast import FastEpsilon, FastGradient
from .occlusion import OcclusionExplainer
from .random_fields import Noise

GRADIENT = "gradient"
GRADIENT_X_INPUT = "gradient_x_input"
INTEGRATED_GRADIENTS = "integrated_gradients"
SMOOTHGRAD = "smoothgrad"
DEEPLIFT = "deeplift"
LRP_0 = "lrp_0"
LRP_EPSILON = "lrp_epsilon"
LRP_GAMMA = "lrp_gamma"
LRP_ALPHA_BETA = "lrp_alpha_beta"
LRP_ZPLUS = "lrp_zplus"
LRP_COMPOSITE = "lrp_composite"
OCCLUSION = "occlusion"
# One step with secants is closer to the integral, pixel by pixel, than as many Gauss-Legendre nodes: on four simulated
# scenes and both bundled networks 16 steps were wrong by 0.3 to 3.6 % of Σ|relevance|, 32 nodes by 1.3 to 7.5 %.
NODES_A_STEP = 2
# Residuals accepted of an exact method, by precision, relative to Σ|R| + |bias|.
ROUNDING = {"float64": 1e-9, "float32": 1e-4, "bfloat16": 3e-2}


@dataclass(frozen=True)
class Method:
    """A method and its settings.

    Parameters
    ----------
    name : str
        One of :data:`METHODS`.
    steps : int
        Gauss-Legendre nodes of integrated gradients; with `refine`, the number to begin with. A network with a way
        back over steps of a path takes one step for :data:`NODES_A_STEP` of them, which is no less exact.
    refine : bool
        Whether `steps` is doubled, up to `most_steps`, until relevance stands still and adds up within `tolerance`.
    tolerance : float
        Largest residual of integrated gradients, relative to Σ|R| of the channels that are not linear.
    most_steps : int
        Where the doubling ends; `steps` where these are more.
    baseline : tuple of float
        One standardised value per channel in the card's order for the methods that take a baseline; empty:
        0 for all, which is each channel's mean.
    epsilon : float
        ε of LRP-ε and of the composite, relative to Σ|z_ij| + |b_j| at each output of a layer.
    gamma : float
        γ of LRP-γ and of the composite.
    alpha : float
        α of LRP-αβ; β = α - 1.
    first_layer : str
        LRP: the rule of the layers that read the inputs, one of :data:`FIRST_LAYERS`; ``default`` is
        ``z_box`` for the composite and ``same`` for the others.
    bound : float
        ``z_box``: standardised inputs lie between - `bound` and `bound`; one beyond is its own bound.
    noise, samples : float, int
        SmoothGrad: standard deviation of the noise in standardised units, and how often it is drawn.
    seed : int
        Of the noise.
    patch : int
        Occlusion: side of a patch, in fine pixels.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    name: str = GRADIENT_X_INPUT
    steps: int = default_of("steps")
    refine: bool = True
    tolerance: float = 0.01
    most_steps: int = 512
    baseline: tuple[float, ...] = ()
    epsilon: float = default_of("epsilon")
    gamma: float = default_of("gamma")
    alpha: float = default_of("alpha")
    first_layer: str = default_of("first_layer")
    bound: float = 4.0
    noise: float = default_of("noise")
    samples: int = default_of("samples")
    seed: int = default_of("seed")
    patch: int = default_of("patch")

    def __post_init__(self) -> None:
        check_word("METHOD", self.name, METHODS)
        if self.steps < 1:
            raise ParameterError(
                f"Integrated gradients take at least 1 step, not {self.steps}. Change STEPS."
            )
        if self.name in (LRP_EPSILON, LRP_COMPOSITE) and not self.epsilon > 0:
            raise ParameterError(
                f"LRP-ε needs an EPSILON above 0, not {self.epsilon:g}. For none choose METHOD=gradient_x_input, "
                "its limit."
            )
        if self.gamma < 0:
            raise ParameterError(f"LRP-γ needs a GAMMA of at least 0, not {self.gamma:g}.")
        if self.alpha < 1:
            raise ParameterError(f"LRP-αβ needs an ALPHA of at least 1, not {self.alpha:g}; β is α - 1.")
        if self.samples < 1 or not self.noise > 0:
            raise ParameterError(
                f"SmoothGrad needs NOISE above 0 and at least 1 of SAMPLES, not {self.noise:g} and {self.samples}."
            )
        if self.patch < 1:
            raise ParameterError(f"A PATCH of occlusion has a side of at least 1 pixel, not {self.patch}.")
        check_word("FIRST_LAYER", self.first_layer, FIRST_LAYERS)
        if self.first_layer != "default" and not self.propagates:
            raise ParameterError(
                f"METHOD={self.name} has no rules of layers; FIRST_LAYER={self.first_layer} is for the LRP methods."
            )
        if self.baseline and not self.facts.takes_baseline:
            others = ", ".join(word for word, method in METHODS.items() if method.takes_baseline)
            raise ParameterError(
                f"METHOD={self.name} has no baseline; only {others} take one. Leave BASELINE empty."
            )

    @property
    def facts(self) -> RelevanceMethod:
        """What is known of the method beside how it is computed."""
        return METHODS[self.name]

    @property
    def propagates(self) -> bool:
        """Whether this is layer-wise relevance propagation."""
        return self.facts.propagates

    @property
    def conservative(self) -> bool:
        """Whether relevance and leaks add up to the target."""
        return self.facts.conservative

    @property
    def times_input(self) -> bool:
        """Whether multipliers are multiplied by the input's distance from the baseline."""
        return self.facts.times_input

    @property
    def first_rule(self) -> str:
        """The word of the rule of the layers that read the inputs."""
        if self.first_layer == "default":
            return "z_box" if self.name == LRP_COMPOSITE else "same"
        return self.first_layer

    def used_settings(self) -> dict[str, object]:
        """Return the settings that the method uses, by name."""
        used = {name: getattr(self, name) for name in self.facts.settings}
        if self.propagates and self.first_rule != "same":
            used["first_layer"] = self.first_rule
        return used

    def text(self) -> str:
        """Say in words what was done."""
        origin = "a baseline of its own" if self.baseline else "each channel's mean"
        values = {name: getattr(self, name) for name in SETTINGS}
        said = self.facts.named.format(origin=origin, beta=self.alpha - 1, **values)
        first = {"w_square": "w²", "flat": "flat", "z_box": f"z^B, bounds ±{self.bound:g}"}.get(
            self.first_rule
        )
        return f"{said}; first layer: {first}" if self.propagates and first else said


def explainer_for(
    runner: Runner,
    method: Method,
    check: Check = lambda: None,
    scene: Window | None = None,
    dropout: DropoutRule | None = None,
) -> Explainer:
    """Return the explainer of a method.

    Parameters
    ----------
    runner : Runner
        The network.
    method : Method
        The method.
    check : callable
        Called between the steps of long methods, and may raise.
    scene : Window, optional
        The whole scene, for methods that lay out patches; default: what is explained is the scene.
    dropout : callable, optional
        What dropout does; default: nothing, as in evaluation.
    """
    network = Walked(runner, dropout) if dropout else runner
    if method.name == INTEGRATED_GRADIENTS:
        if dropout is None and (secants := runner.fast.secants) is not None:
            return SecantExplainer(runner, secants, method.baseline, -(-method.steps // NODES_A_STEP), check)
        return PathExplainer(runner, network, method.baseline, method.steps, check)
    if method.name == SMOOTHGRAD:
        noises = [Noise(method.noise, runner.ratio, method.seed, sample) for sample in range(method.samples)]
        return SmoothExplainer(network, noises, check)
    if method.name == OCCLUSION:
        return OcclusionExplainer(runner, network, method.patch, method.baseline, scene, check)
    if method.name == DEEPLIFT:
        return RescaleExplainer(runner, method.baseline, dropout)
    if dropout is None and (fast := _fast_explainer(runner, method)) is not None:
        return fast
    return WalkExplainer(runner, rules_of(runner, method, dropout), drops=dropout is not None)


def rules_of(runner: Runner, method: Method, dropout: DropoutRule | None = None) -> Rules:
    """Return the rule of each layer for a method that walks back through the layers, or could."""
    gates = Whole() if method.propagates else Tangent()
    return Rules(_affine_rule(method), runner.dtype, gates, _first_rule(method), dropout)


def _first_rule(method: Method) -> AffineRule | None:
    if not method.propagates:
        return None
    rules: dict[str, AffineRule] = {
        "w_square": by_squares,
        "flat": evenly,
        "z_box": WithinBox(method.bound),
    }
    return rules.get(method.first_rule)


def _fast_explainer(runner: Runner, method: Method) -> Explainer | None:
    """Return an explainer that uses the network's own way back, or None where only the walk will do."""
    if method.first_rule != "same":
        return None
    fast = runner.fast
    if method.name == LRP_EPSILON and fast.lrp_epsilon is not None:
        return FastEpsilon(runner, fast.lrp_epsilon(method.epsilon))
    if fast.gradient is None or method.name not in (GRADIENT, GRADIENT_X_INPUT, LRP_0):
        return None
    return FastGradient(runner, fast.gradient)


def _affine_rule(method: Method) -> AffineRule:
    if method.name == LRP_EPSILON:
        return AlongEpsilon(method.epsilon)
    if method.name == LRP_COMPOSITE:
        return ByKind(wide=AlongGamma(method.gamma), pointwise=AlongEpsilon(method.epsilon))
    rules: dict[str, AffineRule] = {
        LRP_GAMMA: AlongGamma(method.gamma),
        LRP_ALPHA_BETA: AlongSigns(method.alpha),
        LRP_ZPLUS: AlongSigns(1.0),
    }
    if method.name in rules:
        return ByKind(wide=rules[method.name], pointwise=rules[method.name])
    return along_gradient
