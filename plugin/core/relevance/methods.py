"""Relevance methods: their settings, and what runs each.

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

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...ground.errors import ModelError, ParameterError
from ...ground.vocabulary.relevance_methods import (
    METHODS,
    MOST_STEPS,
    MethodChoice,
    RelevanceMethod,
)
from ...ground.vocabulary.words import BOUND, FIRST_LAYERS, check_word
from ...ground.window import Window
from ...networks.card_checks import WHOLE_IMAGE
from ...networks.contract import GradientCrop
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
    LayerwiseExplainer,
    LayerwiseNetwork,
    Network,
    PathExplainer,
    RescaleExplainer,
    SecantExplainer,
    SmoothExplainer,
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


@dataclass(frozen=True)
class Method(MethodChoice):
    """A method, its settings and what a run knows beside them.

    Integrated gradients of a network with a backward pass over steps of a path take one step for
    :data:`NODES_A_STEP` of `steps`, which is no less exact.

    Parameters
    ----------
    refine : bool
        Whether `steps` is doubled, up to `most_steps`, until relevance stands still and adds up within `tolerance`.
    tolerance : float
        Largest residual of integrated gradients, relative to Σ|R| of the channels that are not linear.
    most_steps : int
        Where the doubling ends; `steps` where these are more.
    baseline : tuple of float
        One standardised value per channel in the card's order for the methods that take a baseline; empty:
        0 for all, which is each channel's mean.
    bound : float
        ``z_box``: standardised inputs lie between - `bound` and `bound`; one beyond is its own bound.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    refine: bool = True
    tolerance: float = 0.01
    most_steps: int = MOST_STEPS
    baseline: tuple[float, ...] = ()
    bound: float = BOUND

    def __post_init__(self) -> None:
        check_word("METHOD", self.name, METHODS)
        if self.steps < 1:
            raise ParameterError(
                f"Integrated gradients take at least 1 step, not {self.steps}. Change STEPS."
            )
        if "epsilon" in self.facts.settings and not self.epsilon > 0:
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
    def name(self) -> str:
        """The word of the method."""
        return self.method

    @property
    def facts(self) -> RelevanceMethod:
        """What is known of the method beside how it is computed."""
        return METHODS[self.name]

    @property
    def how(self) -> MethodRun:
        """What runs the method."""
        return RUNS[self.name]

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
            return self.how.first_layer
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
        said = self.facts.named.format(origin=origin, beta=self.alpha - 1, **self.settings())
        if not self.propagates or self.first_rule not in FIRST_RULES:
            return said
        return f"{said}; first layer: {FIRST_RULES[self.first_rule][0].format(bound=self.bound)}"


@dataclass(frozen=True)
class Task:
    """What an explainer is made for.

    Parameters
    ----------
    runner : Runner
        The network.
    method : Method
        The method.
    check : callable
        Called between the steps of long methods, and may raise.
    scene : Window or None
        The whole scene, for methods that lay out patches; None: what is explained is the scene.
    dropout : callable or None
        What dropout does; None: nothing, as in evaluation.
    """

    runner: Runner
    method: Method
    check: Check
    scene: Window | None
    dropout: DropoutRule | None

    @property
    def network(self) -> Network:
        """What gives logits and gradients, with dropout where that is sampled."""
        return LayerwiseNetwork(self.runner, self.dropout) if self.dropout else self.runner


def _layer_by_layer(task: Task) -> Explainer:
    method, runner = task.method, task.runner
    if task.dropout is None and method.first_rule == "same" and method.how.fast is not None:
        fast = method.how.fast(runner, method)
        if fast is not None:
            return fast
    return LayerwiseExplainer(runner, rules_of(runner, method, task.dropout), drops=task.dropout is not None)


@dataclass(frozen=True)
class MethodRun:
    """What runs a method.

    Parameters
    ----------
    explainer : callable
        ``explainer(task)`` returns the explainer; by default a backward pass layer by layer.
    rule : callable
        ``rule(method)`` returns the rule of affine layers of this pass; by default the gradient, LRP-0.
    fast : callable or None
        ``fast(runner, method)`` returns an explainer by a fast path of the network, None where it has none.
    first_layer : str
        What FIRST_LAYER=default means.
    audited : bool
        Whether a residual lies with a layer, which a backward pass layer by layer can find.
    in_steps : bool
        Whether the number of steps is chosen on small windows, and tolerates what is left over.
    beyond : callable
        ``beyond(method)``: how many pixels beyond the receptive field it writes to.
    single_draw : str
        The method of one of its draws, for one that is a mean over draws of noise; else empty.
    """

    explainer: Callable[[Task], Explainer] = _layer_by_layer
    rule: Callable[[Method], AffineRule] = lambda method: along_gradient
    fast: Callable[[Runner, Method], Explainer | None] | None = None
    first_layer: str = "same"
    audited: bool = True
    in_steps: bool = False
    beyond: Callable[[Method], int] = lambda method: 0
    single_draw: str = ""


def _along_a_path(task: Task) -> Explainer:
    runner, method = task.runner, task.method
    if task.dropout is None and (secants := runner.fast.secants) is not None:
        steps = -(-method.steps // NODES_A_STEP)
        return SecantExplainer(runner, secants, method.baseline, steps, task.check)
    return PathExplainer(runner, task.network, method.baseline, method.steps, task.check)


def _over_noise(task: Task) -> Explainer:
    method, ratio = task.method, task.runner.ratio
    noises = [Noise(method.noise, ratio, method.seed, sample) for sample in range(method.samples)]
    return SmoothExplainer(task.network, noises, task.check)


def _by_patches(task: Task) -> Explainer:
    method = task.method
    if task.runner.radius >= WHOLE_IMAGE:
        raise ModelError(
            "METHOD=occlusion takes patches away one by one where an output depends on the whole image, which takes a "
            "pass over the scene each. Choose METHOD=integrated_gradients or gradient_x_input."
        )
    return OcclusionExplainer(
        task.runner, task.network, method.patch, method.baseline, task.scene, task.check
    )


def _by_differences(task: Task) -> Explainer:
    return RescaleExplainer(task.runner, task.method.baseline, task.dropout)


def _fast_gradient(runner: Runner, method: Method) -> Explainer | None:
    gradient = runner.fast.gradient
    return None if gradient is None else FastGradient(runner, gradient)


def _fast_epsilon(runner: Runner, method: Method) -> Explainer | None:
    lrp_epsilon = runner.fast.lrp_epsilon
    return None if lrp_epsilon is None else FastEpsilon(runner, lrp_epsilon(method.epsilon))


def _but_norms(rule: AffineRule) -> AffineRule:
    """Return a rule for all affine layers but batch norms, which have nothing to weigh."""
    return ByKind(wide=rule, pointwise=rule)


# What runs each word of METHODS, in the same order.
RUNS: Mapping[str, MethodRun] = {
    GRADIENT_X_INPUT: MethodRun(fast=_fast_gradient),
    INTEGRATED_GRADIENTS: MethodRun(_along_a_path, audited=False, in_steps=True),
    LRP_EPSILON: MethodRun(rule=lambda method: AlongEpsilon(method.epsilon), fast=_fast_epsilon),
    GRADIENT: MethodRun(fast=_fast_gradient),
    SMOOTHGRAD: MethodRun(_over_noise, single_draw=GRADIENT),
    DEEPLIFT: MethodRun(_by_differences, audited=False),
    LRP_0: MethodRun(fast=_fast_gradient),
    LRP_GAMMA: MethodRun(rule=lambda method: _but_norms(AlongGamma(method.gamma))),
    LRP_ALPHA_BETA: MethodRun(rule=lambda method: _but_norms(AlongSigns(method.alpha))),
    LRP_ZPLUS: MethodRun(rule=lambda method: _but_norms(AlongSigns(1.0))),
    LRP_COMPOSITE: MethodRun(
        rule=lambda method: ByKind(AlongGamma(method.gamma), AlongEpsilon(method.epsilon)),
        first_layer="z_box",
    ),
    OCCLUSION: MethodRun(_by_patches, beyond=lambda method: method.patch),
}

# What each word of FIRST_LAYERS is called in logs, and its rule; `default` and `same` have none of their own.
FIRST_RULES: Mapping[str, tuple[str, Callable[[Method], AffineRule]]] = {
    "w_square": ("w²", lambda method: by_squares),
    "flat": ("flat", lambda method: evenly),
    "z_box": ("z^B, bounds ±{bound:g}", lambda method: WithinBox(method.bound)),
}


def explainer_for(
    runner: Runner,
    method: Method,
    check: Check = lambda: None,
    scene: Window | None = None,
    dropout: DropoutRule | None = None,
) -> Explainer:
    """Return the explainer of a method; the parameters are those of :class:`Task`."""
    return method.how.explainer(Task(runner, method, check, scene, dropout))


def follows_gates(method: Method) -> bool:
    """Return whether a method's multipliers are gradients of the logits at the scene's own inputs."""
    return method.how.fast is _fast_gradient and method.first_rule == "same"


def gradient_crop(runner: Runner, method: Method) -> GradientCrop | None:
    """Return which tiles a network's gradients need around a window; None where all that its logits need."""
    if follows_gates(method) or (method.name == INTEGRATED_GRADIENTS and runner.fast.secants is not None):
        return runner.fast.gradient_crop
    return None


def rules_of(runner: Runner, method: Method, dropout: DropoutRule | None = None) -> Rules:
    """Return the rule of each layer for a method that goes back layer by layer, or could."""
    gates = Whole() if method.propagates else Tangent()
    own = FIRST_RULES.get(method.first_rule) if method.propagates else None
    first = None if own is None else own[1](method)
    return Rules(method.how.rule(method), runner.dtype, gates, first, dropout)
