"""The window of *Explain a place*: which scene and network, and what is said of the place that was clicked."""

from __future__ import annotations

from qgis.core import (
    QgsMapLayer,
    QgsMapLayerProxyModel,
    QgsProject,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.gui import QgsMapLayerComboBox
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QApplication,
    QComboBox,
    QDockWidget,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from ..ground.vocabulary.words import CHANNEL_GROUPS
from ..networks import registry
from ..report.places.answer import PlaceAnswer
from ..report.places.sentences import (
    alternatives,
    as_sentences,
    headline,
    legend,
    place_text,
    reasons,
    rows,
)
from .bars import Bars
from .place_worker import SceneChoice

KINDS = {
    "sensor": "by sensor",
    "frequency": "by frequency",
    "polarisation": "by polarisation",
    "channel": "by channel",
}
if set(KINDS) != set(CHANNEL_GROUPS):
    raise AssertionError("KINDS and CHANNEL_GROUPS differ")
SAR_BANDS, MWR_BANDS = ("hh", "hv", "vv", "vh"), ("btemp", "tb", "6.9", "18.7", "36.5", "89.0")
NARROWEST = 330  # pixels
ASK = "Click on the scene, or drag a box. With the map in focus, Return asks about its middle."


class PlaceDock(QDockWidget):
    """Chooses scene and network, and shows the answer to a place."""

    started = pyqtSignal(bool)  # whether clicks on the map are questions
    report_wanted = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Explain a place", parent)
        self.setObjectName("FloeLensPlaces")
        self._answer: PlaceAnswer | None = None
        self.model = QComboBox()
        self.model.currentTextChanged.connect(self.model.setToolTip)
        self.sar, self.mwr, self.chart, self.land = (QgsMapLayerComboBox() for _ in range(4))
        other = [name for name in QgsProviderRegistry.instance().providerList() if name != "gdal"]
        for combo in (self.sar, self.mwr, self.chart):
            combo.setFilters(QgsMapLayerProxyModel.Filter.RasterLayer)
            combo.setExcludedProviders(other)
        self.land.setFilters(
            QgsMapLayerProxyModel.Filter.RasterLayer | QgsMapLayerProxyModel.Filter.PolygonLayer
        )
        self.land.setExcludedProviders([name for name in other if name != "ogr"])
        for combo in (self.mwr, self.chart, self.land):
            combo.setAllowEmptyLayer(True)
        self.button = QPushButton("Explain places")
        self.button.setCheckable(True)
        self.button.toggled.connect(self.started)
        self.status = _text(ASK)
        self.where, self.headline, self.reasons, self.without, self.doubts = (_text() for _ in range(5))
        self.legend = _text()
        font = self.headline.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.15)
        self.headline.setFont(font)
        self.kind, self.target = QComboBox(), QComboBox()
        for combo in (self.model, self.sar, self.mwr, self.chart, self.land, self.kind, self.target):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(8)
        for word, title in KINDS.items():
            self.kind.addItem(title, word)
        self.kind.currentIndexChanged.connect(self._show_bars)
        self.target.currentIndexChanged.connect(self._show_bars)
        self.bars = Bars()
        self.copy, self.report = QPushButton("Copy as sentences"), QPushButton("Full report of this place…")
        self.copy.clicked.connect(self._copied)
        self.report.clicked.connect(self.report_wanted)
        self._lay_out()
        self.show_answer(None)

    def _lay_out(self) -> None:
        scene = QFormLayout()
        scene.addRow("Model", self.model)
        scene.addRow("SAR", self.sar)
        scene.addRow("Radiometry", self.mwr)
        scene.addRow("Chart to compare with", self.chart)
        scene.addRow("Land", self.land)
        choices = QHBoxLayout()
        choices.addWidget(self.kind)
        choices.addWidget(self.target, 1)
        column = QVBoxLayout()
        column.addLayout(scene)
        for widget in (self.button, self.status, self.where, self.headline, self.doubts, self.reasons):
            column.addWidget(widget)
        column.addLayout(choices)
        for widget in (self.bars, self.legend, self.without, self.copy, self.report):
            column.addWidget(widget)
        column.addStretch(1)
        inside = QWidget()
        inside.setLayout(column)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setMinimumWidth(NARROWEST)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        self.setWidget(area)

    def fill(self) -> None:
        """Offer the installed models and, of the project's layers, those whose bands fit first."""
        chosen = self.model.currentText()
        self.model.clear()
        self.model.addItems(sorted(registry.installed()))
        if chosen:
            self.model.setCurrentText(chosen)
        rasters = [
            layer
            for layer in QgsProject.instance().mapLayers().values()
            if isinstance(layer, QgsRasterLayer) and layer.providerType() == "gdal"
        ]
        for combo, bands in ((self.sar, SAR_BANDS), (self.mwr, MWR_BANDS)):
            if combo.currentLayer() is None or not _holds(combo.currentLayer(), bands):
                fitting = [layer for layer in rasters if _holds(layer, bands)]
                combo.setLayer(fitting[0] if fitting else None)
        for combo in (self.chart, self.land):
            if not combo.property("filled"):
                combo.setLayer(None)
                combo.setProperty("filled", True)

    def choice(self) -> SceneChoice | None:
        """Return the scene and the network that are chosen; None where one is missing."""
        if self.sar.currentLayer() is None or not self.model.currentText():
            return None
        land = self.land.currentLayer()
        return SceneChoice(
            _source(self.sar),
            self.model.currentText(),
            _source(self.mwr),
            _source(self.chart),
            _source(self.land),
            _layer_name(land),
            isinstance(land, QgsVectorLayer),
        )

    def wait(self, text: str = "Explaining…") -> None:
        """Say that an answer is on its way; the last one stays until then."""
        self._say(text)

    def fail(self, sentence: str) -> None:
        """Say what is wrong."""
        self._say(sentence)

    def show_answer(self, answer: PlaceAnswer | None) -> None:
        """Show an answer, or none."""
        self._answer = answer
        shown = answer is not None
        for widget in (
            self.where,
            self.headline,
            self.reasons,
            self.bars,
            self.legend,
            self.without,
            self.kind,
            self.target,
            self.copy,
            self.report,
        ):
            widget.setVisible(shown)
        self.doubts.setVisible(bool(shown and answer and answer.warnings))
        if answer is None:
            self._say(ASK)
            return
        self._say("")
        self.where.setText(place_text(answer))
        self.headline.setText(headline(answer))
        self.reasons.setText(reasons(answer))
        self.legend.setText(legend(answer))
        self.without.setText(alternatives(answer))
        self.doubts.setText("⚠ " + " ".join(answer.warnings))
        before = self.target.currentIndex()
        self.target.blockSignals(True)
        self.target.clear()
        self.target.addItem(f"for {answer.evidence.target}", False)
        if answer.contrast is not None:
            self.target.addItem(f"for {answer.contrast.target}", True)
            self.target.setCurrentIndex(1 if before != 0 else 0)
        self.target.blockSignals(False)
        self._show_bars()

    def _show_bars(self) -> None:
        if self._answer is not None:
            self.bars.show_rows(rows(self._answer, self.kind.currentData(), bool(self.target.currentData())))

    def _copied(self) -> None:
        if self._answer is not None:
            QApplication.clipboard().setText(as_sentences(self._answer))
            self._say("Copied.")

    def _say(self, text: str) -> None:
        self.status.setText(text)
        self.status.setVisible(bool(text))


def _text(text: str = "") -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _source(combo: QgsMapLayerComboBox) -> str:
    layer: QgsMapLayer | None = combo.currentLayer()
    return "" if layer is None else layer.source().split("|")[0]  # options of opening stand behind it


def _layer_name(layer: QgsMapLayer | None) -> str:
    """Return which layer of a file of polygons is meant; empty for the first."""
    if not isinstance(layer, QgsVectorLayer):
        return ""
    return (
        QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source()).get("layerName") or ""
    )


def _holds(layer: QgsRasterLayer, bands: tuple[str, ...]) -> bool:
    """Return whether the first band of a layer is called as one of `bands` begins."""
    name = layer.bandName(1).lower().rpartition(": ")[2].removeprefix("sigma0_")
    return name.startswith(bands)
