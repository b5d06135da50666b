"""The three sentences that the report begins with: what is recommended, how sure that is, and what fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...ground.vocabulary.benchmarks import FEWEST_SAMPLES
from ..page.html import listed, number_text
from .page import RECOMMENDED, TIED, RankedMethods, RankingPage, surpassed

MOST_WORDS = 25
_NAMED = 3


def summary(page: RankingPage) -> list[str]:
    """Return three sentences of at most 25 words each; one where nothing was ranked."""
    if not page.decisive():
        return ["Nothing was ranked: no method has scores."]
    return [recommendation(page), certainty(page), failures(page)]


def recommendation(page: RankingPage) -> str:
    """Return which method is recommended for which kind of network, or that none can be."""
    kinds: dict[str, list[RankedMethods]] = {}
    for condition, ranking in page.decisive():
        kinds.setdefault(page.network(condition), []).append(ranking)
    named = {kind: word for kind, own in kinds.items() if (word := throughout(own))}
    if len(kinds) == 1:
        kind, own = next(iter(kinds.items()))
        if named:
            return f"For {kind}, {named[kind]} is recommended."
        some = [each.recommended for each in own if each.recommended]
        if some:
            return _short(
                f"For {kind}, no method is recommended throughout: {_list(dict.fromkeys(some))} in "
                f"{len(some)} of {len(own)} conditions.",
                f"For {kind}, no method is recommended in all {len(own)} conditions.",
            )
        return f"For {kind}, no method can be recommended."
    if not named:
        return _short(
            f"No method can be recommended for {listed(list(kinds))}.", "No method can be recommended."
        )
    without = [kind for kind in kinds if kind not in named]
    rest = f"; none can be for {listed(without)}" if without else ""
    return _short(
        f"Recommended: {listed([f'{word} for {kind}' for kind, word in named.items()])}{rest}.",
        f"Methods are recommended for {len(named)} of {len(kinds)} kinds of network: see the ranking of each.",
    )


def throughout(rankings: Sequence[RankedMethods]) -> str | None:
    """Return the method that is recommended in all rankings, or tied with what is and trusted; the best of several."""
    places: dict[str, list[int]] = {}
    for ranking in rankings:
        for row in ranking.methods:
            if ranking.verdict(row) in (RECOMMENDED, TIED):
                places.setdefault(row.method, []).append(row.place)
    common = {word: sum(found) for word, found in places.items() if len(found) == len(rankings)}
    return min(common, key=lambda word: common[word]) if common else None


def certainty(page: RankingPage) -> str:
    """Return how sure the recommendation of the first condition is, or how far it is from one."""
    condition, ranking = page.decisive()[0]
    if ranking.samples < FEWEST_SAMPLES:
        least = FEWEST_SAMPLES
        return f"Only {ranking.samples} samples were explained; from fewer than {least} no method is recommended."
    where = f" in {condition.title}" if len(page.decisive()) > 1 else ""
    alike = [own for other, own in page.decisive() if page.network(other) == page.network(condition)]
    word = throughout(alike) or ranking.recommended
    if word is None:
        best = next((each for each in ranking.methods if not each.control), None)
        if best is None:
            return "No method was judged, only controls."
        return _short(
            f"The best method{where}, {best.method}, does not surely surpass {surpassed(best.weakest)} "
            f"({_p(best.p)}, {ranking.samples} samples).",
            f"The best, {best.method}, does not surely surpass {surpassed(best.weakest)} ({_p(best.p)}).",
        )
    row = next(each for each in ranking.methods if each.method == word)
    controls = {each.method for each in ranking.methods if each.control}
    ties = [other for other in row.tied if other not in controls]
    tied = f"; {_list(ties)} {'is' if len(ties) == 1 else 'are'} tied with it" if ties else ""
    title = ranking.measure.title
    value = f"{number_text(row.mean, 3)} ({number_text(row.low, 3)} to {number_text(row.high, 3)})"
    return _short(
        f"The mean {title} of {word}{where} is {value} over {ranking.samples} samples{tied}.",
        f"The mean {title} of {word}{where} is {value} over {ranking.samples} samples; {len(ties)} are tied with it.",
        f"Its mean {title} is {value}; {len(ties)} methods are tied with it.",
        f"Its mean score is {value}.",
    )


def failures(page: RankingPage) -> str:
    """Return which methods do not surpass a control or a map that tells nothing, under any of the conditions."""
    failing: dict[str, str] = {}
    judged: dict[str, None] = {}
    for _, ranking in page.decisive():
        if ranking.samples < FEWEST_SAMPLES:
            continue
        for row in ranking.methods:
            if not row.control:
                judged.setdefault(row.method)
                if not row.trusted:
                    failing.setdefault(row.method, row.weakest)
    if not judged:
        return "Which methods fail cannot be said."
    if not failing:
        return "No method fails: each surpasses every control and a map that tells nothing."
    several = len(page.decisive()) > 1
    if len(failing) == len(judged):
        where = "under some condition " if several else ""
        return f"All {len(judged)} methods fail {where}against a control or a map that tells nothing."
    one = len(failing) == 1
    said = surpassed(next(iter(failing.values()))) if one else "a control or a map that tells nothing"
    return _short(
        f"{'Under some condition, ' if several else ''}{_list(failing)} {'does' if one else 'do'} not surpass {said}.",
        f"{len(failing)} of {len(judged)} methods do not surpass a control or a map that tells nothing.",
    )


def _list(words: Iterable[str]) -> str:
    """Return words as a phrase: all of up to three, else two and how many more."""
    words = list(words)
    if len(words) > _NAMED:
        return f"{', '.join(words[: _NAMED - 1])} and {len(words) - _NAMED + 1} more"
    return listed(words)


def _short(*versions: str) -> str:
    """Return the first version that has few enough words, else the last."""
    return next((text for text in versions if len(text.split()) <= MOST_WORDS), versions[-1])


def _p(value: float) -> str:
    return f"p {p_text(value)}" if value < 0.001 else f"p = {p_text(value)}"


def p_text(value: float) -> str:
    """Return a p-value for a reader."""
    return "< 0.001" if value < 0.001 else f"{value:.2g}"
