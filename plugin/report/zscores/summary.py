"""The three sentences of a report of Z-scores: which sensor leads, which components, how far to trust it."""

from __future__ import annotations

from .channels import ChannelJudgement
from .head import HeadScores
from .ranking import components_sentence, sensors_sentence
from .trust import trust_sentence

MOST_WORDS = 25
"""In a sentence of the summary."""


def summary(head: HeadScores, judged: ChannelJudgement | None = None) -> tuple[str, str, str]:
    """Return the three sentences of one head, at most 25 words each.

    Parameters
    ----------
    head : HeadScores
        Scores of the components.
    judged : ChannelJudgement, optional
        Held-out slopes of the same head.
    """
    ranking = head.ranking
    if ranking is None:
        reason = next((row["note"] for row in head.rows if row["note"]), "nothing could be estimated")
        return (
            f"The head '{head.head}' has no scores.",
            f"The reason: {reason}.",
            trust_sentence(head, judged),
        )
    return sensors_sentence(ranking), components_sentence(ranking), trust_sentence(head, judged)
