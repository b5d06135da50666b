"""Bars from zero to both sides: what speaks for a class to the right, what against it to the left."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.PyQt.QtCore import QRectF, QSize, Qt
from qgis.PyQt.QtGui import QColor, QPainter, QPalette, QTextOption
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

# What speaks for a class and what against, on a light and on a dark window: colour-blind people see both.
LIGHT, DARK = ("#e66101", "#5e3c99"), ("#f1a340", "#b2abd2")
NARROWEST = 200  # pixels
GAP = 4  # pixels between rows, and between a bar and a number


def signed(value: float) -> str:
    """Return a number with its sign, two digits behind the point."""
    return f"{value:+.2f}".replace("-", "−")


class Bars(QWidget):
    """Named numbers as bars, the first at the top."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[tuple[str, float]] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_rows(self, rows: Sequence[tuple[str, float]]) -> None:
        """Show other numbers."""
        self._rows = list(rows)
        text = "; ".join(f"{name} {signed(value)}" for name, value in self._rows)
        self.setAccessibleName(text)
        self.setToolTip(text.replace("; ", "\n"))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return room for all rows."""
        return QSize(NARROWEST, max(1, len(self._rows)) * self._row_height())

    minimumSizeHint = sizeHint  # noqa: N815

    def _row_height(self) -> int:
        return self.fontMetrics().height() + GAP

    def paintEvent(self, event) -> None:  # noqa: N802
        """Draw the bars."""
        painter = QPainter(self)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        dark = self.palette().color(QPalette.ColorRole.Window).lightness() < 128
        colours = [QColor(colour) for colour in (DARK if dark else LIGHT)]
        metrics, height = self.fontMetrics(), self._row_height()
        names = max((metrics.horizontalAdvance(name) for name, _ in self._rows), default=0) + 2 * GAP
        numbers = max((metrics.horizontalAdvance(signed(v)) for _, v in self._rows), default=0) + GAP
        largest = max((abs(value) for _, value in self._rows), default=0.0) or 1.0
        half = max(10.0, (self.width() - names - 2 * numbers) / 2)
        zero = names + numbers + half
        for number, (name, value) in enumerate(self._rows):
            top = number * height
            painter.setPen(text)
            painter.drawText(QRectF(0, top, names, height), name, _aligned(Qt.AlignmentFlag.AlignLeft))
            length = half * abs(value) / largest
            left = zero if value >= 0 else zero - length
            painter.fillRect(QRectF(left, top + GAP / 2, length, height - GAP), colours[value < 0])
            place = (
                QRectF(zero + length + GAP, top, numbers, height)
                if value >= 0
                else QRectF(zero - length - GAP - numbers, top, numbers, height)
            )
            towards = Qt.AlignmentFlag.AlignLeft if value >= 0 else Qt.AlignmentFlag.AlignRight
            painter.drawText(place, signed(value), _aligned(towards))
        painter.setPen(text)
        painter.drawLine(int(zero), 0, int(zero), len(self._rows) * height)
        painter.end()


def _aligned(side: Qt.AlignmentFlag) -> QTextOption:
    """Return how a text lies in its row: flags are whole numbers for Qt 5 and none for Qt 6."""
    option = QTextOption(Qt.AlignmentFlag.AlignVCenter | side)
    option.setWrapMode(QTextOption.WrapMode.NoWrap)
    return option
