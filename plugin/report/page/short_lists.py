"""The part of a report that says how few components make a map: curves against k, and ranks side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure as Picture

from ...ground.vocabulary.short_lists import GROUP, ORDER_MEANINGS, ORDERS, Z
from . import figures
from .html import Figure, Section, Table, listed, number_text

_NAMED = 5  # components in a sentence
_PRINTED, _BEYOND = 20, 5  # rows of ranks: at least so many, and so many behind the short list
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))


@dataclass(frozen=True, eq=False)
class ListedOrder:
    """The components of a head in one order; the curves hold a value for the first k, for k = 0 … all.

    Parameters
    ----------
    by : str
        A word of :data:`.ORDERS`.
    names : tuple of str
        Components, most important first.
    values : tuple of float or None
        Of the measure that they are ordered by.
    r2, r2_at_zero, r2_refitted : tuple of float or None
        R² of the logits with the others at their mean, at zero, and with weights fitted to the logits.
    needed, needed_at_zero, needed_refitted : int or None
        How many suffice for 99 %.
    measure : str
        What skill is: ``accuracy``, ``rmse``; empty without labels.
    skill, skill_at_zero : tuple of float
        Against labels.
    needed_for_skill, needed_for_skill_at_zero : int or None
        How many keep 99 % of the skill above that of a constant map; None where all have none.
    """

    by: str
    names: tuple[str, ...]
    values: tuple[float | None, ...]
    r2: tuple[float | None, ...]
    r2_at_zero: tuple[float | None, ...]
    r2_refitted: tuple[float | None, ...]
    needed: int | None
    needed_at_zero: int | None
    needed_refitted: int | None
    measure: str = ""
    skill: tuple[float | None, ...] = ()
    skill_at_zero: tuple[float | None, ...] = ()
    needed_for_skill: int | None = None
    needed_for_skill_at_zero: int | None = None


@dataclass(frozen=True, eq=False)
class ShortLists:
    """Short lists of one head.

    Parameters
    ----------
    head : str
        Its name.
    components, sensors : tuple of str
        In the order of the layer.
    orders : tuple of ListedOrder
        One an order; the first is that of the table.
    counted : str
        How pixels count in R², a clause.
    labelled : int
        Labelled pixels or samples that skill is computed on; 0: none.
    unit : str
        Of the root mean square error.
    called : str
        What they are, in the plural: ``components`` of the last layer, or ``features`` of another one, which add up to
        its class activation map and not to the logit.
    """

    head: str
    components: tuple[str, ...]
    sensors: tuple[str, ...]
    orders: tuple[ListedOrder, ...]
    counted: str = ""
    labelled: int = 0
    unit: str = ""
    called: str = "components"

    @property
    def reproduced(self) -> str:
        """What they add up to."""
        return "logits" if self.called == "components" else "class activation map"


def short_list_sentence(lists: ShortLists) -> str:
    """Return how few components reproduce the map, in a sentence."""
    first, number = lists.orders[0], len(lists.components)
    what = "the map's logits" if lists.reproduced == "logits" else f"the {lists.reproduced}"
    named = listed(list(first.names[: min(first.needed or 0, _NAMED)]))
    if first.needed is None:
        return f"Nothing varies in {what}, so no component is needed to reproduce it."
    if first.needed == number:
        return f"There is no short list: all {number} {lists.called} are needed to reproduce 99 % of {what}."
    more = f", the first of them {named}" if first.needed > _NAMED else f": {named}"
    return (
        f"By {ORDERS[first.by]}, {first.needed} of {number} {lists.called} reproduce 99 % of what varies in "
        f"{what}{more}."
    )


def short_list_section(lists: ShortLists, name: str, suffix: str = "") -> Section:
    """Return the section of a head; `name` prefixes the ids of its pictures."""
    text = [short_list_sentence(lists), *_comparison(lists), *_skill(lists)]
    if lists.called == "components":
        text.append(
            "To see what a component of the list looks at, run Relevance maps with its name as COMPONENT, and with "
            "CLASS where there are several; every method can explain it."
        )
    picture = figures.svg(
        curves(lists),
        f"{name}k",
        f"R² of the {lists.reproduced}, and skill, against the number of {lists.called}",
    )
    return Section(
        f"The short list: how few {lists.called} make this map{suffix}",
        text=tuple(text),
        points=(
            f"R² is 1 where those kept reproduce the {lists.reproduced} everywhere, with their trained weights and "
            f"the others held at their mean{lists.counted}. It can fall while those that cancel each other come "
            "in one by one.",
            "At zero: the others add nothing at all, as the authors of integrated feature analysis test it. Fitted: "
            f"the weights of the kept ones are fitted to the {lists.reproduced} anew, which is the most that they can "
            "tell.",
            "The orders go by " + "; ".join(ORDER_MEANINGS[each.by] for each in lists.orders) + ".",
            *([_GROUPS] if any(each.by == GROUP for each in lists.orders) else []),
        ),
        figures=(
            Figure(
                picture, f"R² of the {lists.reproduced}" + _CAPTION + _SKILL_CAPTION * bool(lists.labelled)
            ),
        ),
        tables=(
            Table(
                _shown(_ORDERS_TABLE, lists.orders),
                _order_rows(lists),
                f"How many {lists.called} suffice for 99 %",
            ),
            Table(
                _ranks_columns(lists),
                rank_rows(lists)[: _shown_rows(lists)],
                _ranks_caption(lists),
            ),
        ),
    )


def _shown_rows(lists: ShortLists) -> int:
    """Return how many rows of the ranks are printed: the short list, and some that do not belong to it."""
    return max(_PRINTED, (lists.orders[0].needed or 0) + _BEYOND)


def _ranks_caption(lists: ShortLists) -> str:
    number, shown = len(lists.components), _shown_rows(lists)
    cut = f"; the first {shown} of {number}, all are in the report's JSON" if shown < number else ""
    return f"Ranks of the {lists.called}, by {ORDERS[lists.orders[0].by]}{cut}"


def rank_rows(lists: ShortLists) -> list[dict[str, Any]]:
    """Return the components in the first order, with their ranks by all and R² of the logits so far."""
    sensors = dict(zip(lists.components, lists.sensors))
    places = {each.by: {name: at for at, name in enumerate(each.names, 1)} for each in lists.orders}
    values = {each.by: dict(zip(each.names, each.values)) for each in lists.orders}
    first = lists.orders[0]
    return [
        {
            "component": component,
            "sensor": sensors[component],
            **{
                f"rank_{by}": place[component] if values[by][component] is not None else None
                for by, place in places.items()
            },
            "value": first.values[at],
            "r2": first.r2[at + 1],
            "skill": first.skill[at + 1] if first.skill else None,
        }
        for at, component in enumerate(first.names)
    ]


def curves(lists: ShortLists) -> Picture:
    """Draw what the first k components reach against k, a line an order: R² of the logits, then skill with labels."""
    panels = [("r2", "needed", f"R² of the {lists.reproduced}")]
    if lists.labelled:
        what = "accuracy" if lists.orders[0].measure == "accuracy" else f"RMSE, {lists.unit or 'label units'}"
        panels.append(("skill", "needed_for_skill", what))
    figure = figures.blank_figure(7.6, 3.0)
    for number, (key, enough, label) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        for order, colour, line in zip(lists.orders, _COLOURS, _LINES):
            values = [float("nan") if value is None else value for value in getattr(order, key)]
            axes.plot(
                range(len(values)),
                values,
                color=colour,
                linestyle=line,
                linewidth=1.3,
                label=ORDERS[order.by],
            )
            if getattr(order, enough) is not None:
                at = getattr(order, enough)
                axes.plot([at], [values[at]], "o", color=colour, markersize=4, markeredgecolor="white")
        if key == "r2":
            axes.set_ylim(-0.05, 1.05)
            axes.axhline(0.99, color="#777777", linewidth=0.7)
            axes.legend(fontsize=7, frameon=False, loc="lower right")
        axes.set_xlim(0, len(lists.components))
        axes.set_xlabel(f"k: {lists.called} kept", fontsize=8)
        axes.set_ylabel(label, fontsize=8)
        figures.tidy(axes)
    return figure


def _comparison(lists: ShortLists) -> list[str]:
    """Return which order needs fewest components, where there are several."""
    known = [each for each in lists.orders if each.needed is not None]
    if len(known) < 2:
        return []
    fewest = min(known, key=lambda each: each.needed or 0)
    if len({each.needed for each in known}) == 1:
        return [f"By {listed([ORDERS[each.by] for each in known[1:]])} as many are needed."]
    return [f"The shortest list is that by {ORDERS[fewest.by]}; the table below has all."]


def _skill(lists: ShortLists) -> list[str]:
    first = lists.orders[0]
    if not lists.labelled:
        return []
    if first.needed_for_skill is None:
        return [
            f"Against {lists.labelled} labelled pixels all {lists.called} map no better than a constant does."
        ]
    k, whole = first.needed_for_skill, first.skill[-1]
    if first.measure == "accuracy":
        size = f"accuracy {_percent(first.skill[k])} instead of {_percent(whole)}"
    else:
        unit = f" {lists.unit}" if lists.unit else ""
        size = f"RMSE {number_text(first.skill[k], 3)}{unit} instead of {number_text(whole, 3)}{unit}"
    return [
        f"Against the labels, 99 % of the skill above that of a constant map is kept with {k} of them: {size}. "
        f"Compared are {lists.labelled} labelled pixels."
    ]


def _percent(part: float | None) -> str:
    return "" if part is None else f"{100.0 * part:.1f} %"


def _order_rows(lists: ShortLists) -> list[dict[str, Any]]:
    return [{**vars(order), "order": f"by {ORDERS[order.by]}"} for order in lists.orders]


def _shown(columns: Sequence[tuple[str, str]], orders: Sequence[ListedOrder]) -> tuple[tuple[str, str], ...]:
    rows: list[Mapping] = [{**vars(order), "order": order.by} for order in orders]
    return tuple(pair for pair in columns if any(row[pair[0]] is not None for row in rows))


def _ranks_columns(lists: ShortLists) -> tuple[tuple[str, str], ...]:
    first = lists.orders[0]
    ranks = [(f"rank_{each.by}", f"rank by {ORDERS[each.by]}") for each in lists.orders]
    skill = (
        [("skill", "accuracy so far" if first.measure == "accuracy" else "RMSE so far")]
        if first.skill
        else []
    )
    return (
        ("component", lists.called[:-1]),
        ("sensor", "sensor"),
        *ranks,
        ("value", ORDERS[first.by] if first.by != Z else "|z|"),
        ("r2", "R² so far"),
        *skill,
    )


_GROUPS = "Components of one group come together in the order of the Wald test, by |z| within it."
_CAPTION = (
    " with the first k of each order, the others at their mean. Points: where 99 % (grey "
    "line) is reached for good."
)
_SKILL_CAPTION = (
    " Beside it the skill against the labels; points: where 99 % of the skill of all above "
    "that of a constant map is reached for good."
)
_ORDERS_TABLE = (
    ("order", "order"),
    ("needed", "others at their mean"),
    ("needed_at_zero", "others at zero"),
    ("needed_refitted", "weights fitted anew"),
    ("needed_for_skill", "for the skill, others at their mean"),
    ("needed_for_skill_at_zero", "for the skill, others at zero"),
)
