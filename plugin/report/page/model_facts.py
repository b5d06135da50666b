"""What every report says about the model it is of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelFacts:
    """What a report says about the model.

    Parameters
    ----------
    id, title : str
        As in its card.
    demonstration : bool
        Whether it must not be used operationally.
    limits : tuple of str
        Limits of use, from the card.
    """

    id: str
    title: str
    demonstration: bool = False
    limits: tuple[str, ...] = ()

    def caveats(self) -> tuple[str, ...]:
        """Return what must be said about any result of the model."""
        said: tuple[str, ...] = ()
        if self.demonstration:
            said = (
                "This is a demonstration model, trained on simulated scenes: the report shows how it decides, "
                "not how sea ice should be mapped.",
            )
        return said + tuple(self.limits)
