"""All that is said of the channels of one head: their strength, and where labels exist their slopes."""

from __future__ import annotations

from dataclasses import dataclass

from .evidence import ChannelEvidence
from .slopes import channel_slopes
from .strength import channel_strengths

HELD_OUT = (
    "Slopes judge the network's trust in a channel only on scenes it was not trained on: on training scenes they "
    "are near 1 by construction."
)
SPLIT = (
    "The words on trust hold for the way that logits were split ({method}): another split can turn them. Only words "
    "that CHANNEL_METHOD=integrated and gated share are the network's own."
)


@dataclass(frozen=True, eq=False)
class ChannelScores:
    """Scores of the channels of one head.

    Parameters
    ----------
    head, kind, method : str
        Of the head, and how its logit was split.
    classes : tuple of str
        One an output.
    strengths : tuple of dict
        Rows by sensor, frequency and channel, keys of :data:`.strength.STRENGTH_COLUMNS`.
    slopes : tuple of dict
        The same groups, keys of :data:`.slopes.SLOPE_COLUMNS`; empty without labels.
    measures : dict
        ``n, n_labelled, n_fitted`` (pixels the slopes rest on), ``clustering, clusters``.
    warnings : tuple of str
        Sentences a reader must see beside the numbers.
    """

    head: str
    kind: str
    method: str
    classes: tuple[str, ...]
    strengths: tuple[dict, ...]
    slopes: tuple[dict, ...]
    measures: dict
    warnings: tuple[str, ...]

    def as_dict(self) -> dict:
        """Return the content as plain values, for reports."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def channel_scores(evidence: ChannelEvidence, clustering: str | None = None) -> ChannelScores:
    """Return strengths and slopes of the channels of a head.

    Parameters
    ----------
    evidence : ChannelEvidence
        Of one scene, or merged over many.
    clustering : str, optional
        Which clusters the errors of the slopes use; by default the first by name.
    """
    slopes, warnings = channel_slopes(evidence, clustering)
    known = sorted(evidence.sample.clusters)
    chosen = clustering if clustering in known else (known[0] if known and clustering is None else None)
    return ChannelScores(
        head=evidence.head,
        kind=evidence.kind,
        method=evidence.method,
        classes=evidence.classes,
        strengths=channel_strengths(evidence),
        slopes=slopes,
        measures={
            "n": evidence.sums.n,
            "n_labelled": evidence.sums.n_labelled,
            "n_fitted": len(evidence.sample),
            "clustering": chosen,
            "clusters": slopes[0]["clusters"] if slopes else None,
        },
        warnings=warnings + ((SPLIT.format(method=evidence.method), HELD_OUT) if slopes else ()),
    )
