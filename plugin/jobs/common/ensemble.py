"""Several networks that were trained alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...ground.errors import ParameterError
from .inputs import Compute

if TYPE_CHECKING:
    from ...core.streaming.runner import Runner
    from ...networks.card import ModelCard


def ensemble_runners(compute: Compute, models: Sequence[str], card: ModelCard) -> tuple[Runner, ...]:
    """Return the networks beside that of `card`, ready to run.

    Parameters
    ----------
    compute : Compute
        Where and how.
    models : sequence of str
        Ids or paths.
    card : ModelCard
        Of the network that takes part already.

    Raises
    ------
    ParameterError
        If a network is named twice.
    """
    members = tuple(compute.runner(model) for model in models)
    weights = [card.weights.sha256, *(member.card.weights.sha256 for member in members)]
    if len(set(weights)) < len(weights):
        raise ParameterError(
            "ENSEMBLE names a network that takes part already: it would count twice. Name each network once, and not "
            "MODEL itself."
        )
    return members
