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
from qgis.gui import QgsCollapsibleGroupBox, QgsMapLayerComboBox
from qgis.PyQt.QtCore import QEvent, Qt, pyqtSignal
from qgis.PyQt.QtGui import QKeySequence
from qgis.PyQt.QtWidgets import (
    QApplication,
    QComboBox,
    QDockWidget,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..ground.vocabulary.words import CHANNEL_GROUPS
from ..networks import registry
from ..report.places.answer import PlaceAnswer
from ..report.places.sentences import (
    SCALE,
    alternatives,
    as_sentences,
    headline,
    legend,
    place_text,
    reasons,
    rows,
    similar_sentence,
    similar_text,
)
from .bars import Bars
from .place_worker import SceneChoice, Similar

KINDS = {
    "sensor": "by sensor",
    "frequency": "by frequency",
    "polarisation": "by polarisation",
    "channel": "by channel",
    SCALE: "by scale",
}
if set(KINDS) != {*CHANNEL_GROUPS, SCALE}:
    raise AssertionError("KINDS and CHANNEL_GROUPS differ")
SAR_BANDS, MWR_BANDS = ("hh", "hv", "vv", "vh"), ("btemp", "tb", "6.9", "18.7", "36.5", "89.0")
NARROWEST = 330  # pixels
ASK = (
    "Click on the scene, or drag a box. With the map in focus, Return asks about its middle, arrows move the place by "
    "a pixel (with Shift by a cell), and Ctrl+C copies the answer."
)
CORNERS = (
    "Click on the corners of a polygon. A right click or Return finishes it, Backspace takes a corner back, "
    "Esc drops it."
)
ALIKE = (
    "Most similar places by what the network's last layer holds there, of small squares all over the scene. Distance: "
    "root mean square difference in standard deviations; unlike places are about 1.4 apart. Return or a click goes "
    "there."
)
UNKNOWN = -1  # of a spin box: where the radiometer looks


class PlaceDock(QDockWidget):
    """Chooses scene and network, and shows the answer to a place."""

    started = pyqtSignal(bool)  # whether clicks on the map are questions
    report_wanted = pyqtSignal()
    polygons_wanted = pyqtSignal(bool)  # whether clicks are corners of a polygon
    feature_wanted = pyqtSignal()
    similar_chosen = pyqtSignal(object)  # a SimilarPlace
    look_changed = pyqtSignal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Explain a place", parent)
        self.setObjectName("FloeLensPlaces")
        self._answer: PlaceAnswer | None = None
        self._alike: Similar | None = None
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
        self.shape = QComboBox()
        self.shape.addItem("Points and boxes", False)
        self.shape.addItem("Polygons", True)
        self.shape.currentIndexChanged.connect(self._shaped)
        self.feature = QPushButton("Selected feature")
        self.feature.setToolTip(
            "Explain the features that are selected in the active layer of points or polygons."
        )
        self.feature.clicked.connect(self.feature_wanted)
        self.look = QSpinBox()
        self.look.setRange(UNKNOWN, 359)
        self.look.setSpecialValueText("unknown")
        self.look.setSuffix("°")
        self.look.setValue(UNKNOWN)
        self.look.setToolTip(
            "Where the radiometer looks at the place, from north over east. Footprints are longer that way; where it "
            "is unknown they are drawn as circles."
        )
        self.look.valueChanged.connect(self.look_changed)
        self.status = _text(ASK)
        self.where, self.headline, self.reasons, self.without, self.doubts = (_text() for _ in range(5))
        self.legend = _text()
        font = self.headline.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.15)
        self.headline.setFont(font)
        self.kind, self.target = QComboBox(), QComboBox()
        for combo in (
            self.model,
            self.sar,
            self.mwr,
            self.chart,
            self.land,
            self.kind,
            self.target,
            self.shape,
        ):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(8)
        for word, title in KINDS.items():
            self.kind.addItem(title, word)
        self.kind.currentIndexChanged.connect(self._show_bars)
        self.target.currentIndexChanged.connect(self._show_bars)
        self.bars = Bars()
        self.alike_text = _text()
        self.alike_text.setToolTip(ALIKE)
        self.alike = QListWidget()
        self.alike.setWordWrap(True)
        self.alike.setToolTip(ALIKE)
        self.alike.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.alike.setAccessibleName("Similar places")
        self.alike.itemActivated.connect(self._chosen)
        self.alike.itemClicked.connect(self._chosen)
        self.copy, self.report = QPushButton("Copy as sentences"), QPushButton("Full report of this place…")
        self.copy.clicked.connect(self.copy_answer)
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
        scene.addRow("Radiometer looks to", self.look)
        scene.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        shapes = QHBoxLayout()
        shapes.addWidget(self.shape, 1)
        shapes.addWidget(self.feature)
        choices = QHBoxLayout()
        choices.addWidget(self.kind)
        choices.addWidget(self.target, 1)
        column = QVBoxLayout()
        chosen = QgsCollapsibleGroupBox(
            "Scene and network"
        )  # once chosen it need not take the room of the answer
        chosen.setLayout(scene)
        column.addWidget(chosen)
        column.addWidget(self.button)
        column.addLayout(shapes)
        for widget in (self.status, self.where, self.headline, self.doubts, self.reasons):
            column.addWidget(widget)
        column.addLayout(choices)
        for widget in (self.bars, self.legend, self.without, self.alike_text, self.alike):
            column.addWidget(widget)
        for widget in (self.copy, self.report):
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
        self.setTabOrder(self.land, self.look)  # all others were made in the order in which they stand
        self.setTabOrder(self.look, self.button)

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
        self.show_similar(None)
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
        self.show_legend()
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

    def show_legend(self) -> None:
        """Say what bars and footprints show."""
        if self._answer is not None:
            self.legend.setText(legend(self._answer, self.look_to() is not None))

    def show_similar(self, similar: Similar | None) -> None:
        """List the places like that of the answer, as far as they are known."""
        self._alike = similar
        self.alike.clear()
        places = similar.places if similar is not None else ()
        for number, place in enumerate(places, 1):
            item = QListWidgetItem(f"{number}. {similar_text(place)}")
            item.setData(Qt.ItemDataRole.UserRole, number - 1)
            self.alike.addItem(item)
        lines = 2 * self.alike.fontMetrics().height() + 4  # each is two lines high in a narrow window
        self.alike.setFixedHeight(lines * max(1, len(places)) + 2 * self.alike.frameWidth())
        self.alike.setVisible(bool(places))
        text = ""
        if similar is not None and not similar.possible:
            text = "Similar places: not known for this network, which has no last layer of components or sees too much."
        elif similar is not None:
            part = (
                f" ({100 * similar.share:.0f} % of the scene looked at so far)" if similar.share < 1 else ""
            )
            text = f"Similar places{part}:" if places or part else "Similar places: none."
        self.alike_text.setText(text)
        self.alike_text.setVisible(bool(text))

    def look_to(self) -> float | None:
        """Return where the radiometer looks, degrees from north over east; None where that is not known."""
        return None if self.look.value() == UNKNOWN else float(self.look.value())

    def event(self, event) -> bool:
        """Take Ctrl+C for the answer before the desktop takes it for features."""
        if event.type() == QEvent.Type.ShortcutOverride and event.matches(QKeySequence.StandardKey.Copy):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event) -> None:  # noqa: N802
        """Copy the answer on Ctrl+C, where no part of a text is selected."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_answer()
        else:
            super().keyPressEvent(event)

    def _chosen(self, item: QListWidgetItem) -> None:
        if self._alike is not None:
            self.similar_chosen.emit(self._alike.places[item.data(Qt.ItemDataRole.UserRole)])

    def _shaped(self) -> None:
        polygons = bool(self.shape.currentData())
        self._say(CORNERS if polygons else ASK)
        self.polygons_wanted.emit(polygons)

    def copy_answer(self) -> None:
        """Copy the answer as sentences, with the similar places."""
        if self._answer is not None:
            alike = similar_sentence(self._alike.places) if self._alike is not None else ""
            QApplication.clipboard().setText(f"{as_sentences(self._answer)} {alike}".strip())
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
