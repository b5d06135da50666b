"""The three sentences of a report of Z-scores.

Where there are labels: how well the map agrees with them, which sensor leads, how far to trust it. Else: which
sensor leads, which components, how far to trust it.
"""

from __future__ import annotations

from .channels import ChannelJudgement
from .head import HeadScores
from .ranking import components_sentence, sensors_sentence
from .skill import MOST_WORDS, UNKNOWN, HeadSkill, skill_sentence
from .trust import rests_on_slopes, trust_sentence

__all__ = ["MOST_WORDS", "summary"]


def summary(
    head: HeadScores, judged: ChannelJudgement | None = None, skill: HeadSkill | None = None
) -> tuple[str, str, str]:
    """Return the three sentences of one head, at most 25 words each.

    Parameters
    ----------
    head : HeadScores
        Scores of the components.
    judged : ChannelJudgement, optional
        Held-out slopes of the same head.
    skill : HeadSkill, optional
        How well the map agrees with the labels; what slopes say of trust is not said without a word on it.
    """
    trust, ranking = trust_sentence(head, judged), head.ranking
    known = skill_sentence(skill) if skill is not None else UNKNOWN if rests_on_slopes(head, judged) else ""
    if ranking is None:
        reason = next((row["note"] for row in head.rows if row["note"]), "nothing could be estimated")
        first, second = f"The head '{head.head}' has no scores.", f"The reason: {reason}."
    else:
        first, second = sensors_sentence(ranking), components_sentence(ranking)
    return (known, first, trust) if known else (first, second, trust)
