"""SIGRID-3 codes of an ice chart, and what a polygon's codes say together.

An egg code has a total concentration and up to three partial ones, each with a stage of
development and a floe size. A polygon is mapped to one class as the AutoICE challenge did it: to
the class that holds the dominant share of the ice, and to none where no class does::

    decode_polygon("92", "30", "95", "05", "70", "93", "08", "-9", "-9", "-9")
    # DecodedIce(concentration=100.0, stage=4, floe=None)

Codes may be unpadded ("3" for "03"). A code that no table knows means no data; pass an
:class:`UnknownCodes` to learn of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

# (highest value in %, name, WMO colour): charts give open water and bergy water as 0 %.
CONCENTRATIONS: tuple[tuple[int, str, str], ...] = (
    (0, "ice free or open water (below 1/10)", "#0064ff"),
    (35, "1/10 to 3/10", "#8cffa0"),
    (65, "4/10 to 6/10", "#ffff00"),
    (85, "7/10 to 8/10", "#ff7d07"),
    (100, "9/10 to 10/10", "#ff0000"),
)

# (class, name, WMO colour)
STAGES: tuple[tuple[int, str, str], ...] = (
    (0, "open water", "#0064ff"),
    (1, "new ice", "#f0d2fa"),
    (2, "young ice", "#aa28f0"),
    (3, "thin first-year ice", "#9bd200"),
    (4, "thick first-year ice", "#007800"),
    (5, "old ice", "#b46432"),
)

# (class, name, colour): the WMO has no colours of floe sizes; these run from light to dark.
FLOES: tuple[tuple[int, str, str], ...] = (
    (0, "open water", "#0064ff"),
    (1, "cake ice (below 20 m)", "#fff7bc"),
    (2, "small floes (20 to 100 m)", "#fec44f"),
    (3, "medium floes (100 to 500 m)", "#fe9929"),
    (4, "big floes (500 m to 2 km)", "#d95f0e"),
    (5, "vast or giant floes (above 2 km)", "#993404"),
    (6, "bergs", "#d2d2d2"),
)

_WATER = frozenset({0, 1, 2, 55})  # ice free (both of its codes), below 1/10, bergy water
_NOT_GIVEN = frozenset({-9, 99})  # not given, and undetermined
_ABSENT = frozenset({-9, 0, 99})  # the same in a part of a polygon that has ice
_TENTHS = {number: float(number) for number in range(10, 100, 10)}
# "35" reads three to five tenths; "81" eight to ten, because "80" is eight.
_INTERVALS = {10 * low + high: 5.0 * (low + high) for low in range(1, 9) for high in range(low + 1, 10)}
_PERCENT = {**dict.fromkeys(_WATER, 0.0), **_TENTHS, **_INTERVALS, 81: 90.0, 91: 95.0, 92: 100.0}
CONCENTRATION_CODES = frozenset(_PERCENT)
"""What total concentration can be in SIGRID-3: codes, and no percents."""

_STAGE_CLASS: dict[int, int | None] = {
    **dict.fromkeys((0, 55, 80), 0),  # ice free; no stage of development
    **dict.fromkeys((81, 82), 1),  # new ice; nilas and ice rind
    **dict.fromkeys((83, 84, 85), 2),  # young, grey, grey-white
    **dict.fromkeys((87, 88, 89), 3),  # thin first-year and its two stages
    **dict.fromkeys((86, 91, 93), 4),  # first-year (no further detail), medium, thick
    **dict.fromkeys((95, 96, 97), 5),  # old, second-year, multi-year
    # Known to SIGRID-3, without a class here: brash, for later use, residual ice, glacier ice.
    **dict.fromkeys((70, 90, 92, 94, 98), None),
}

_FLOE_CLASS: dict[int, int | None] = {
    0: 0,
    2: 1,
    3: 2,
    4: 3,
    5: 4,
    **dict.fromkeys((6, 7), 5),
    **dict.fromkeys((9, 10), 6),  # growlers and floebergs; icebergs
    # Known to SIGRID-3, without a class here: brash, fast ice, strips and patches, level ice, pancakes.
    **dict.fromkeys((1, 8, *range(11, 23)), None),
}


@dataclass(frozen=True)
class DecodedIce:
    """What the codes of one polygon say.

    Parameters
    ----------
    concentration : float or None
        Total concentration in %; None where there is no data.
    stage : int or None
        Class of :data:`STAGES`; None where no class dominates.
    floe : int or None
        Class of :data:`FLOES`; None where no class dominates.
    """

    concentration: float | None
    stage: int | None
    floe: int | None


OPEN_WATER = DecodedIce(0.0, 0, 0)
NO_DATA = DecodedIce(None, None, None)


@dataclass
class UnknownCodes:
    """Counts the codes that are in no table, by field.

    Parameters
    ----------
    counts : Counter
        (field, code) to the number of polygons.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, name: str, code: object) -> None:
        """Count one code of the field `name`."""
        self.counts[name.upper(), str(code).strip()[:20]] += 1

    def as_json(self) -> dict[str, int]:
        """Return ``{"CT=97": 2}``, in order."""
        return {f"{name}={code}": count for (name, code), count in sorted(self.counts.items())}

    def sentence(self) -> str:
        """Return what a person should know; empty where every code is known."""
        if not self.counts:
            return ""
        listed = ", ".join(f"{text} ({count} x)" for text, count in self.as_json().items())
        return f"Codes that SIGRID-3 does not know are mapped as no data: {listed}."


def code_number(code: object) -> int | None:
    """Return a code as a number ("03" and "3" and 3.0 are 3); None where it is none, -9 where empty."""
    text = "" if code is None else str(code).strip()
    if not text:
        return -9
    try:
        value = float(text)
        number = int(value)
    except (ValueError, OverflowError):
        return None
    return number if number == value else None


def concentration_percent(ct: object, name: str = "CT", unknown: UnknownCodes | None = None) -> float | None:
    """Return a concentration in %, an interval by its midpoint; None where there is no data.

    Parameters
    ----------
    ct : str
        A total or partial concentration.
    name : str
        The field it comes from, for `unknown`.
    unknown : UnknownCodes, optional
        Takes a code that is in no table.
    """
    number = code_number(ct)
    if number in _PERCENT:
        return _PERCENT[number]
    if number not in _NOT_GIVEN and unknown is not None:
        unknown.add(name, ct)
    return None


def is_interval(ct: object) -> bool:
    """Return whether a concentration is written as an interval of tenths: 35, not 91."""
    number = code_number(ct)
    return number in _INTERVALS or number == 81


def stage_class(code: object, name: str = "SA", unknown: UnknownCodes | None = None) -> int | None:
    """Return the class of a stage of development; None where it has none."""
    return _class(_STAGE_CLASS, code, name, unknown)


def floe_class(code: object, name: str = "FA", unknown: UnknownCodes | None = None) -> int | None:
    """Return the class of a form of ice; None where it has none."""
    return _class(_FLOE_CLASS, code, name, unknown)


def _class(table: dict[int, int | None], code: object, name: str, unknown: UnknownCodes | None) -> int | None:
    number = code_number(code)
    if number not in table and number not in _NOT_GIVEN and unknown is not None:
        unknown.add(name, code)
    return table.get(number) if number is not None else None


def decode_polygon(
    ct: object,
    ca: object,
    sa: object,
    fa: object,
    cb: object,
    sb: object,
    fb: object,
    cc: object,
    sc: object,
    fc: object,
    dominant_share: float = 65.0,
    poly_type: object = "",
    unknown: UnknownCodes | None = None,
) -> DecodedIce:
    """Return what the codes of one polygon say.

    Parameters
    ----------
    ct : str
        Total concentration.
    ca, sa, fa, cb, sb, fb, cc, sc, fc : str
        Partial concentration, stage of development and form of ice of the three parts, the thickest
        first. The first partial concentration is the total one where it is not given and there is
        no second stage.
    dominant_share : float
        Share of the total concentration, in %, that one class must reach.
    poly_type : str
        ``W`` or ``O`` is water and ``L`` is land, where there is no total concentration.
    unknown : UnknownCodes, optional
        Takes codes that are in no table.
    """
    total = concentration_percent(ct, "CT", unknown)
    if code_number(ct) in _NOT_GIVEN and str(poly_type or "").strip().upper() in ("W", "O"):
        total = 0.0
    if total == 0.0:
        return OPEN_WATER
    if total is None:
        return NO_DATA
    # Some charts write 00 or 99 where nothing is given.
    if code_number(ca) in _ABSENT and code_number(sb) in _ABSENT:
        ca = ct
    shares = [
        concentration_percent(part, name, unknown) for part, name in ((ca, "CA"), (cb, "CB"), (cc, "CC"))
    ]

    def dominant(decode: Callable[..., int | None], codes: tuple[tuple[object, str], ...]) -> int | None:
        amounts: dict[int, float] = {}
        for share, (code, name) in zip(shares, codes):
            value = decode(code, name, unknown)
            if value is not None and share:
                amounts[value] = amounts.get(value, 0.0) + share
        if not amounts:
            return None
        most = max(amounts, key=lambda value: amounts[value])
        return most if 100.0 * amounts[most] >= dominant_share * total else None

    stage = dominant(stage_class, ((sa, "SA"), (sb, "SB"), (sc, "SC")))
    floe = dominant(floe_class, ((fa, "FA"), (fb, "FB"), (fc, "FC")))
    return DecodedIce(total, stage, floe)


def stage_name(stage: int | None) -> str | None:
    """Return the name of a stage class; None for None."""
    return None if stage is None else STAGES[stage][1]


def floe_name(floe: int | None) -> str | None:
    """Return the name of a floe class; None for None."""
    return None if floe is None else FLOES[floe][1]
