"""Sigma0 at single pixels, slowly, from the tables as they stand in the files; plain Python floats.

Independent of the reader: no numpy interpolation, no zones, no strips.
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from xml.etree import ElementTree


def _linear(xs: list[float], ys: list[float], x: float) -> float:
    """Return y at x, held constant beyond the ends."""
    i = bisect_right(xs, x)
    if i == 0:
        return ys[0]
    if i == len(xs):
        return ys[-1]
    share = (x - xs[i - 1]) / (xs[i] - xs[i - 1])
    return ys[i - 1] + share * (ys[i] - ys[i - 1])


def _floats(node, name: str) -> list[float]:
    return [float(word) for word in node.findtext(name).split()]


class Tables:
    """The tables of one polarisation of a product."""

    def __init__(self, calibration: Path, noise: Path) -> None:
        root = ElementTree.parse(calibration).getroot()
        self.calibration = [
            (int(v.findtext("line")), _floats(v, "pixel"), _floats(v, "sigmaNought"))
            for v in root.iter("calibrationVector")
        ]
        root = ElementTree.parse(noise).getroot()
        self.old = root.find("noiseVectorList") is not None
        names = ("noiseVector", "noiseLut") if self.old else ("noiseRangeVector", "noiseRangeLut")
        self.range = [
            (int(v.findtext("line")), _floats(v, "pixel"), _floats(v, names[1])) for v in root.iter(names[0])
        ]
        limits = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
        self.blocks = [
            (
                v.findtext("swath"),
                *(int(v.findtext(name)) for name in limits),
                _floats(v, "line"),
                _floats(v, "noiseAzimuthLut"),
            )
            for v in root.iter("noiseAzimuthVector")
        ]

    def gain(self, line: int, pixel: int) -> float:
        """Return A."""
        lines = [float(entry[0]) for entry in self.calibration]
        return _linear(lines, [_linear(xs, ys, pixel) for _, xs, ys in self.calibration], line)

    def noise(self, line: int, pixel: int) -> float | None:
        """Return the noise in DN², None where no sub-swath is."""
        if self.old:
            lines = [float(entry[0]) for entry in self.range]
            return _linear(lines, [_linear(xs, ys, pixel) for _, xs, ys in self.range], line)
        hit = [
            block for block in self.blocks if block[1] <= line <= block[2] and block[3] <= pixel <= block[4]
        ]
        if not hit:
            return None
        swath, a, b, c, d, azimuth_lines, factors = hit[0]
        own = [(at, *self._kept(xs, ys, c, d)) for at, xs, ys in self.range if a <= at <= b]
        own = [entry for entry in own if entry[1]]
        if not own:
            candidates = []
            for at, xs, ys in self.range:
                for other, a2, b2, c2, d2, *_ in self.blocks:
                    if other == swath and a2 <= at <= b2:
                        kept = self._kept(xs, ys, c2, d2)
                        if kept[0]:
                            candidates.append((max(a - at, at - b), at, *kept))
            own = [min(candidates)[1:]] if candidates else [(0, [0.0], [0.0])]
        values = [_linear(xs, ys, pixel) for _, xs, ys in own]
        return _linear([float(at) for at, *_ in own], values, line) * _linear(azimuth_lines, factors, line)

    @staticmethod
    def _kept(xs, ys, c, d):
        kept = [(x, y) for x, y in zip(xs, ys) if c <= x <= d and y > 0]
        return [x for x, _ in kept], [y for _, y in kept]

    def sigma0(self, number: int, line: int, pixel: int) -> float | None:
        """Return sigma0 of a digital number, noise subtracted, linear."""
        noise = self.noise(line, pixel)
        return None if noise is None else (float(number) ** 2 - noise) / self.gain(line, pixel) ** 2


def tables_of(manifest: Path, pol: str) -> Tables:
    """Return the tables of a product made by ``make_safe``."""
    folder = manifest.parent / "annotation" / "calibration"
    (calibration,) = folder.glob(f"calibration-*-{pol}-*.xml")
    (noise,) = folder.glob(f"noise-*-{pol}-*.xml")
    return Tables(calibration, noise)
