"""The three sentences that the report begins with: what is recommended, how sure that is, and what fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ...ground.rankings import Measure, Ranking
from ...ground.vocabulary.benchmarks import CONTROLS, FEWEST_SAMPLES, UNINFORMATIVE
from ..page.html import listed, number_text
from .page import RECOMMENDED, TIED, Condition, RankingPage, surpassed, verdict

MOST_WORDS = 25
_NAMED = 3


def summary(page: RankingPage) -> list[str]:
    """Return three sentences of at most 25 words each; one where nothing was ranked."""
    if not page.decisive():
        return ["Nothing was ranked: no method has scores."]
    return [recommendation(page), certainty(page), failures(page)]


def recommendation(page: RankingPage) -> str:
    """Return which method is recommended for which kind of network, or that none can be."""
    kinds: dict[str, list[tuple[Condition, Ranking]]] = {}
    for condition, ranking in page.leading():
        kinds.setdefault(page.network(condition), []).append((condition, ranking))
    if len(kinds) == 1:
        return _of_one_kind(*next(iter(kinds.items())))
    named = {
        kind: word for kind, own in kinds.items() if (word := throughout([ranking for _, ranking in own]))
    }
    if not named:
        some = [f"{_often(own)} for {kind}" for kind, own in kinds.items() if _often(own)]
        if some:
            never = [kind for kind, own in kinds.items() if not _often(own)]
            rest = f"; none for {listed(never)}" if never else ""
            return _short(
                f"None is recommended throughout: {listed(some)}{rest}.",
                *(f"No method is recommended throughout: {text}; see the ranking of each." for text in some),
                "No method is recommended throughout: see the ranking of each.",
            )
        return _short(
            f"No method can be recommended for {listed(list(kinds))}.", "No method can be recommended."
        )
    without = [kind for kind in kinds if kind not in named]
    rest = f"; none throughout {listed(without)}" if without else ""
    first = next(iter(named))
    others = len(kinds) - 1
    return _short(
        f"Recommended: {listed([f'{word} for {kind}' for kind, word in named.items()])}{rest}.",
        f"Recommended: {named[first]} for {first}; see the rankings for {others} other "
        f"kind{'s' if others > 1 else ''} of network.",
        f"Methods are recommended for {len(named)} of {len(kinds)} kinds of network: see the ranking of each.",
    )


def _of_one_kind(kind: str, own: list[tuple[Condition, Ranking]]) -> str:
    """Return which method is recommended where all conditions are of one kind of network."""
    word = throughout([ranking for _, ranking in own])
    if word:
        return f"For {kind}, {word} is recommended."
    if not any(ranking.recommended for _, ranking in own):
        return f"For {kind}, no method can be recommended."
    each = listed([f"{ranking.recommended or 'none'} for {condition.title}" for condition, ranking in own])
    return _short(
        f"For {kind}, no method is recommended throughout: {each}.",
        f"For {kind}, no method is recommended throughout: {_often(own)}.",
        f"For {kind}, no method is recommended in all {len(own)} conditions.",
    )


def _often(own: list[tuple[Condition, Ranking]]) -> str:
    """Return the method that is recommended most often, and how often; empty where none is."""
    count = Counter(ranking.recommended for _, ranking in own if ranking.recommended)
    return (
        f"{count.most_common(1)[0][0]} in {count.most_common(1)[0][1]} of {len(own)} rankings"
        if count
        else ""
    )


def throughout(rankings: Sequence[Ranking]) -> str | None:
    """Return the method that is recommended in all rankings, or tied with what is and trusted; the best of several."""
    places: dict[str, list[int]] = {}
    for ranking in rankings:
        for row in ranking.methods:
            if verdict(ranking, row) in (RECOMMENDED, TIED):
                places.setdefault(row.method, []).append(row.place)
    common = {word: sum(found) for word, found in places.items() if len(found) == len(rankings)}
    return min(common, key=lambda word: common[word]) if common else None


def certainty(page: RankingPage) -> str:
    """Return how sure the recommendation of the first condition is, or how far it is from one."""
    condition, ranking = page.leading()[0]
    if ranking.samples < FEWEST_SAMPLES:
        least = FEWEST_SAMPLES
        return f"Only {ranking.samples} samples were explained; from fewer than {least} no method is recommended."
    where = f"For {condition.title}, " if len(page.leading()) > 1 else ""
    alike = [own for other, own in page.leading() if page.network(other) == page.network(condition)]
    word = throughout(alike) or ranking.recommended
    if word is None:
        best = next((each for each in ranking.methods if not each.control), None)
        if best is None:
            return "No method was judged, only controls."
        return _short(
            f"{where}{best.method}, the best method, does not surely surpass {_plainly(best.weakest)}: "
            f"{_p(best.p)}, {ranking.samples} samples.",
            f"{best.method}, the best method, does not surely surpass {_plainly(best.weakest)}: {_p(best.p)}.",
        )
    row = next(each for each in ranking.methods if each.method == word)
    controls = {each.method for each in ranking.methods if each.control}
    ties = [other for other in row.tied if other not in controls]
    are = "is" if len(ties) == 1 else "are"
    tied = f"; {_list(ties)} {are} tied with it" if ties else ""
    number = f"; {len(ties)} {'method' if len(ties) == 1 else 'methods'} {are} tied with it" if ties else ""
    title = ranking.measure.title
    interval = f"{number_text(row.mean, 3)} ({number_text(row.low, 3)} to {number_text(row.high, 3)}"
    scaled, plain = f"{interval}{_scale(ranking.measure)})", f"{interval})"
    samples = f" over {ranking.samples} samples"
    return _short(
        f"{where}{word} has a mean {title} of {scaled}{samples}{tied}.",
        f"{where}{word} has a mean {title} of {scaled}{tied}.",
        f"{where}{word} has a mean {title} of {scaled}{number}.",
        f"{word} has a mean {title} of {scaled}{samples}{number}.",
        f"{word} has a mean {title} of {scaled}{number}.",
        f"{word} has a mean {title} of {plain}{samples}{number}.",
        f"{word} has a mean score of {plain}.",
    )


def _scale(measure: Measure) -> str:
    """Return the values of a measure for a perfect map and one that tells nothing, to stand behind an interval."""
    if measure.ideal is None or measure.uninformative is None:
        return ""
    return (
        f"; perfect {number_text(measure.ideal, 3)}, telling nothing {number_text(measure.uninformative, 3)}"
    )


def failures(page: RankingPage) -> str:
    """Return which methods do not surpass a control or a map that tells nothing, under any of the conditions."""
    failing: dict[str, str] = {}
    judged: dict[str, None] = {}
    for _, ranking in page.leading():
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
    where = " in at least one ranking" if len(page.leading()) > 1 else ""
    kinds = _kinds(failing.values())
    if len(failing) == len(judged):
        each = f"Each of {len(judged)} methods fails" if where else f"All {len(judged)} methods fail"
        return f"{each}{where}: {'it does' if where else 'they do'} not surely surpass {kinds}."
    one = len(failing) == 1
    said = _plainly(next(iter(failing.values()))) if one else kinds
    return _short(
        f"{_list(failing)} {'does' if one else 'do'} not surely surpass {said}{where}.",
        f"{len(failing)} of {len(judged)} methods do not surely surpass {kinds}{where}.",
    )


def doubts(page: RankingPage) -> tuple[str, ...]:
    """Return where a method has a better mean than the recommended one but too few samples to be sure of it."""
    found = []
    for condition, ranking in page.decisive():
        best = next((row for row in ranking.methods if not row.control), None)
        if best is None or ranking.recommended in (None, best.method):
            continue
        chosen = next(row for row in ranking.methods if row.method == ranking.recommended)
        found.append(
            f"{condition.title}: {best.method} has a better mean {ranking.measure.title} "
            f"({number_text(best.mean, 3)}) than the recommended {chosen.method} ({number_text(chosen.mean, 3)}), but "
            f"over {ranking.samples} samples it does not surely surpass {_plainly(best.weakest)}: more samples may "
            "recommend it."
        )
    return tuple(found)


_KINDS = (
    ("an edge filter", ("sobel", "laplace")),
    ("noise", ("random",)),
    ("a broken map", ("broken_swapped", "broken_sign", "broken_shifted")),
    ("a map that tells nothing", (UNINFORMATIVE,)),
)


def _kinds(words: Iterable[str]) -> str:
    """Return what is not surpassed, in plain words: ``an edge filter or noise``."""
    words = set(words)
    known = [title for title, members in _KINDS if words & set(members)]
    if words - {member for _, members in _KINDS for member in members}:
        known.append("a control")
    return " or ".join(filter(None, (", ".join(known[:-1]), known[-1])))


def _plainly(word: str) -> str:
    """Return a control as a sentence calls it: ``an edge filter (sobel)``."""
    if word == UNINFORMATIVE or word not in CONTROLS:
        return surpassed(word)
    return f"{_kinds([word])} ({word})"


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
