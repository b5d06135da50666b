"""How far relevance depends on chance: the same explanation many times over.

===============  ==================================================================================
word             what differs between the replicas
===============  ==================================================================================
``none``         nothing: there is one
``smoothgrad``   the inputs: independent normal noise on each (Smilkov et al. 2017, arXiv 1706.03825)
``dropout``      the units that dropout drops (Gal and Ghahramani 2016, arXiv 1506.02142)
``ensemble``     the network: several model packages with the same channels and classes
===============  ==================================================================================

Each replica is a whole explanation of the scene; mean and standard deviation are taken pixel by pixel when
all that a pixel receives has arrived. Noise and dropped units belong to places of the scene, so that the
size of tiles does not matter.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ...ground.errors import ModelError, ParameterError
from ...ground.vocabulary.relevance_methods import MethodChoice
from ...ground.vocabulary.words import UNCERTAINTIES, check_word
from ...ground.window import Window
from ..layers.conservation import Leaks
from ..layers.kinds import drops_units
from ..streaming.runner import Inputs, Runner
from .explainers import Check, Explainer, Explanation, Seeds
from .methods import Method, explainer_for
from .random_fields import Dropout, Noise

NONE, NOISE, DROPOUT, ENSEMBLE = "none", "smoothgrad", "dropout", "ensemble"


@dataclass(frozen=True)
class Uncertainty:
    """What is varied, and how often.

    Parameters
    ----------
    kind : str
        One of :data:`~floelens.plugin.ground.vocabulary.words.UNCERTAINTIES`.
    samples : int
        Replicas, at least two; an ensemble has as many as it has members.
    noise : float
        ``smoothgrad``: standard deviation of the noise, in standardised units.
    seed : int
        Another number, other noise and other dropped units.
    members : tuple of Runner
        ``ensemble``: the networks beside the first one.

    Raises
    ------
    ParameterError
        If a value makes no sense.
    """

    kind: str = NONE
    samples: int = MethodChoice.samples
    noise: float = MethodChoice.noise
    seed: int = MethodChoice.seed
    members: tuple[Runner, ...] = ()

    def __post_init__(self) -> None:
        check_word("UNCERTAINTY", self.kind, UNCERTAINTIES)
        if self.kind in (NOISE, DROPOUT) and self.samples < 2:
            raise ParameterError(f"A standard deviation needs at least 2 SAMPLES, not {self.samples}.")
        if self.kind == NOISE and not self.noise > 0:
            raise ParameterError(f"UNCERTAINTY=smoothgrad needs NOISE above 0, not {self.noise:g}.")
        if (self.kind == ENSEMBLE) != bool(self.members):
            raise ParameterError(
                "UNCERTAINTY=ensemble takes at least one more model: set ENSEMBLE."
                if self.kind == ENSEMBLE
                else "ENSEMBLE names models, but UNCERTAINTY is not ensemble: set it, or leave ENSEMBLE empty."
            )

    def on_cpu(self) -> Uncertainty:
        """Return the same with all networks on the CPU."""
        return dataclasses.replace(self, members=tuple(member.on_cpu() for member in self.members))

    @property
    def number(self) -> int:
        """How many replicas there are."""
        return {NONE: 1, ENSEMBLE: 1 + len(self.members)}.get(self.kind, self.samples)

    def text(self) -> str:
        """Say in words what was varied."""
        return {
            NONE: "",
            NOISE: f"{self.samples} draws of noise of {self.noise:g} standard deviations on the inputs",
            DROPOUT: f"{self.samples} draws of dropped units",
            ENSEMBLE: f"{self.number} networks",
        }[self.kind]


@dataclass(frozen=True)
class Replica:
    """One explanation of several.

    Parameters
    ----------
    runner : Runner
        Its network.
    explainer : Explainer
        The method.
    noise : Noise or None
        What is added to the inputs.
    dropout : Dropout or None
        What drops units.
    """

    runner: Runner
    explainer: Explainer
    noise: Noise | None = None
    dropout: Dropout | None = None

    def explain(
        self, inputs: Inputs, seeds: Seeds, leaks: Leaks, place: Window
    ) -> tuple[Explanation, Inputs | None]:
        """Return what was found on a tile, and the noise its inputs were given."""
        if self.dropout is not None:
            self.dropout.place = place
        if self.noise is None:
            return self.explainer.explain(inputs, seeds, leaks, place), None
        noise = self.noise.of(inputs, place)
        return self.explainer.explain(inputs.plus(noise), seeds, leaks, place), noise


def replicas_of(
    runner: Runner, method: Method, uncertainty: Uncertainty, check: Check, scene: Window
) -> list[Replica]:
    """Return the explanations that make up one map.

    Raises
    ------
    ModelError
        If the network has no dropout to sample, or a member of the ensemble does not fit the first.
    """
    if uncertainty.kind == NONE:
        return [Replica(runner, explainer_for(runner, method, check, scene))]
    if uncertainty.kind == ENSEMBLE:
        for member in uncertainty.members:
            check_alike(runner, member)
        members = (runner, *uncertainty.members)
        return [Replica(member, explainer_for(member, method, check, scene)) for member in members]
    if uncertainty.kind == NOISE:
        if method.how.single_draw:  # the mean over draws is taken here
            method = dataclasses.replace(method, method=method.how.single_draw)
        explainer = explainer_for(runner, method, check, scene)
        return [
            Replica(runner, explainer, Noise(uncertainty.noise, runner.ratio, uncertainty.seed, sample))
            for sample in range(uncertainty.samples)
        ]
    if not any(map(drops_units, runner.module.modules())):
        raise ModelError(
            f"Model '{runner.card.id}' has no dropout to sample. Choose UNCERTAINTY=smoothgrad or ensemble."
        )
    dropouts = [Dropout(uncertainty.seed, sample) for sample in range(uncertainty.samples)]
    return [
        Replica(runner, explainer_for(runner, method, check, scene, dropout), dropout=dropout)
        for dropout in dropouts
    ]


def check_alike(first: Runner, member: Runner) -> None:
    """Raise a ModelError unless a network reads the channels of the first and maps its classes."""

    def facts(runner: Runner) -> dict[str, object]:
        channels = [(channel.name, channel.grid) for channel in runner.card.channels]
        heads = [(head.name, head.kind, [c.name for c in head.classes]) for head in runner.card.heads]
        return {"channels": channels, "coarse ratio": runner.ratio, "heads and classes": heads}

    mine, theirs = facts(first), facts(member)
    for what, value in mine.items():
        if theirs[what] != value:
            raise ModelError(
                f"ENSEMBLE: model '{member.card.id}' has other {what} than '{first.card.id}'. "
                "Members of an ensemble read the same channels and map the same classes."
            )
