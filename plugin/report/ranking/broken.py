"""Whether maps that were broken on purpose come last, and which methods are no better than one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...ground.vocabulary.benchmarks import BROKEN_MAPS
from ...ground.vocabulary.relevance_methods import METHODS
from ..page.html import Section, Table, listed, number_text
from .page import Condition, RankingPage

_COLUMNS = (
    ("condition", "condition"), ("map", "broken map"), ("mean", "mean"), ("worse", "surely worse methods"),
    ("tied", "tied methods"),
)  # fmt: skip


@dataclass(frozen=True)
class BrokenMap:
    """A broken map in the ranking that decides.

    Parameters
    ----------
    condition, map : str
        Words.
    mean : float
        Of the measure that decides.
    worse, tied : tuple of str
        Methods that are surely worse, and those that the samples do not tell apart from it.
    """

    condition: str
    map: str
    mean: float
    worse: tuple[str, ...]
    tied: tuple[str, ...]

    @property
    def last(self) -> bool:
        """Whether no method is surely worse."""
        return not self.worse


def broken_maps(page: RankingPage, condition: Condition | None = None) -> tuple[BrokenMap, ...]:
    """Return the broken maps of one condition, or of all."""
    found = []
    for other, ranking in page.decisive():
        if condition is not None and other.word != condition.word:
            continue
        methods = [row for row in ranking.methods if not row.control]
        for row in ranking.methods:
            if row.control and row.method in BROKEN_MAPS:
                tied = tuple(each.method for each in methods if each.method in row.tied)
                behind = [each.method for each in methods if each.place > row.place]
                worse = tuple(word for word in behind if word not in tied)
                found.append(BrokenMap(other.word, row.method, row.mean, worse, tied))
    return tuple(found)


def broken_sentences(page: RankingPage) -> tuple[str, ...]:
    """Return a sentence or two a condition: whether its broken maps are last, and else what is no better than they."""
    found = []
    for condition, _ in page.decisive():
        own = broken_maps(page, condition)
        if not own:
            continue
        ahead = [each for each in own if not each.last]
        tied = list(dict.fromkeys(word for each in own for word in each.tied))
        if not ahead and not tied:
            found.append(
                f"{condition.title}: broken maps are last; each method is surely better than all of them."
            )
        elif not ahead:
            found.append(f"{condition.title}: broken maps are last, or tied with the last: {listed(tied)}.")
        else:
            maps = listed([f"{BROKEN_MAPS[each.map]} ({number_text(each.mean, 2)})" for each in ahead])
            worse = list(dict.fromkeys(word for each in ahead for word in each.worse))
            are = "is" if len(worse) == 1 else "are"
            found.append(
                " ".join(
                    [f"{condition.title}: {listed(worse)} {are} no better than {maps}.", *_reasons(worse)]
                )
            )
    return tuple(found)


def _reasons(words: Iterable[str]) -> list[str]:
    """Return why methods may be no better than a broken map: what they leave out by definition."""
    known = {word: METHODS[word] for word in words if word in METHODS}
    slopes = [word for word, method in known.items() if not method.times_input]
    signs = [word for word, method in known.items() if method.parts_signs]
    said = []
    if slopes:
        gives = "gives a slope" if len(slopes) == 1 else "give slopes"
        said.append(f"{listed(slopes)} {gives}, which says nothing of the sign of a contribution.")
    if signs:
        weighs = "weighs" if len(signs) == 1 else "weigh"
        said.append(
            f"{listed(signs)} {weighs} what speaks for and against apart, so that the sign is lost in part."
        )
    return said


def broken_section(page: RankingPage) -> list[Section]:
    """Return what was broken, and where it ranks."""
    titles = {condition.word: condition.title for condition in page.conditions}
    rows = [
        {
            "condition": titles[each.condition],
            "map": BROKEN_MAPS[each.map],
            "mean": number_text(each.mean, 3),
            "worse": listed(each.worse),
            "tied": listed(each.tied),
        }
        for each in broken_maps(page)
    ]
    if not rows:
        return []
    makers: dict[str, list[str]] = {}
    for condition in page.conditions:
        if condition.broken:
            makers.setdefault(condition.broken, []).append(condition.title)
    made = [f"{maker} ({listed(of)})" for maker, of in makers.items()]
    text = (
        "A benchmark can tell right from wrong only if a map that is wrong on purpose comes last. Broken is, of each "
        "condition, the map of the method with the best mean, or the truth itself: channels of a sensor or inputs "
        "swapped, the sign changed, or all values moved by one pixel, cell or input.",
        f"Here these are the maps of: {listed(made)}." if made else "",
    )
    return [
        Section(
            "Maps that were broken on purpose",
            text=tuple(filter(None, text)),
            points=broken_sentences(page),
            tables=(Table(_COLUMNS, rows, "By the measure that decides"),),
        )
    ]
