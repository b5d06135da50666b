"""What a generator of the additive benchmark gives the job: parts that run one by one, kept if it is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...report.ranking.page import Comparison, Condition, Example, OtherScore

if TYPE_CHECKING:
    from ...ground.rankings import Judged, Measure
    from ...io.rasters.writer import Outputs

# check(share done): called often; may raise, and so ends the run.
Check = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Part:
    """What one network of a generator gave.

    Parameters
    ----------
    conditions : tuple of Condition
        Those that methods were ranked in, as the report calls them.
    judged : tuple of Judged
        Scores of methods and controls in these conditions.
    facts : mapping
        Name → number or text, for the report.
    examples : tuple of Example
        Maps beside their truth.
    arrays : mapping
        Name → array: what rasters are made of.
    others : tuple of OtherScore
        Measures that need no truth.
    """

    conditions: tuple[Condition, ...]
    judged: tuple[Judged, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    others: tuple[OtherScore, ...] = ()


class Study(Protocol):
    """A generator with its networks."""

    @property
    def subject(self) -> str:
        """The kind of its networks in the plural."""

    def notes(self, parts: Mapping[str, Part]) -> tuple[str, ...]:
        """Return what a reader must know beside the rankings: a sentence or two each."""

    @property
    def no_raster(self) -> str:
        """Why there is no grid to write a raster on; empty where there is one."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """Name → number or text, known before anything is run."""

    @property
    def measures(self) -> Sequence[Measure]:
        """What methods are ranked by; the first decides."""

    @property
    def parts(self) -> Mapping[str, str]:
        """Word → title of its parts, in the order in which they are run."""

    @property
    def repeated(self) -> tuple[str, ...]:
        """Words of the parts that are trained, and are trained again where the spread over networks is asked for."""

    def run(self, part: str, check: Check, repeat: int = 0) -> Part:
        """Run one part; with `repeat` its network is trained on other samples, from other weights."""

    def comparisons(self, parts: Mapping[str, Part]) -> tuple[Comparison, ...]:
        """Return tables beside the rankings."""

    def write(self, outputs: Outputs, path: str, parts: Mapping[str, Part], tags: dict[str, str]) -> None:
        """Write the raster of truth, estimates and errors, and its style."""


def stored(part: Part) -> tuple[str, dict[str, np.ndarray]]:
    """Return a part as text and arrays."""
    text = json.dumps(
        {
            "conditions": [asdict(condition) for condition in part.conditions],
            "judged": [
                {"method": each.method, "condition": each.condition, "seconds": each.seconds,
                 "control": each.control, "scores": list(each.scores)}
                for each in part.judged
            ],
            "facts": dict(part.facts),
            "examples": [
                {"title": each.title, "caption": each.caption, "maps": list(each.maps)} for each in part.examples
            ],
            "arrays": list(part.arrays),
            "others": [asdict(each) for each in part.others],
        }
    )  # fmt: skip
    arrays: dict[str, np.ndarray] = {}
    for number, each in enumerate(part.judged):
        arrays.update({f"judged{number}/{word}": values for word, values in each.scores.items()})
    for number, example in enumerate(part.examples):
        arrays[f"truth{number}"] = example.truth
        arrays.update({f"map{number}/{word}": values for word, values in example.maps.items()})
    return text, {**arrays, **{f"array/{name}": values for name, values in part.arrays.items()}}


def restored(text: str, arrays: Mapping[str, np.ndarray]) -> Part:
    """Return the part of which :func:`stored` made text and arrays."""
    from ...ground.rankings import Judged

    content = json.loads(text)
    return Part(
        tuple(Condition(**{**each, "about": tuple(each["about"])}) for each in content["conditions"]),
        tuple(
            Judged(
                each["method"],
                each["condition"],
                {word: arrays[f"judged{number}/{word}"] for word in each["scores"]},
                each["seconds"],
                each["control"],
            )
            for number, each in enumerate(content["judged"])
        ),
        content["facts"],
        tuple(
            Example(
                each["title"],
                arrays[f"truth{number}"],
                {word: arrays[f"map{number}/{word}"] for word in each["maps"]},
                each["caption"],
            )
            for number, each in enumerate(content["examples"])
        ),
        {name: arrays[f"array/{name}"] for name in content["arrays"]},
        tuple(OtherScore(**each) for each in content["others"]),
    )
