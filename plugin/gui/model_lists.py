"""Combo boxes whose lists follow MODEL: its classes, heads, components and layers."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QCursor
from qgis.PyQt.QtWidgets import QApplication, QComboBox

from ..ground import dependencies
from ..ground.errors import FloeLensError
from ..ground.vocabulary.words import PREDICTED
from ..networks import registry
from ..networks.card import ModelCard
from .typed_choice import TypedChoice

COMPONENTS = "components"
EMPTY = {
    "classes": "",
    "reference": "no other class",
    "heads": "the first",
    "components": "the whole logit",
    "layers": COMPONENTS,
}


class ModelList(TypedChoice):
    """Chooses a word of the model that MODEL names.

    The metadata of the parameter says what is listed (`listed`): ``classes``, ``reference`` (classes, or none),
    ``heads``, ``components`` or ``layers``. The value is a plain text, as if it had been typed.
    """

    def make_combo(self, **options) -> QComboBox:
        """Return an empty combo box."""
        listed = options["listed"]
        self._listed, self._model, self._head = listed, None, None
        combo = _OpeningList(self._fill_layers) if listed == "layers" else QComboBox()
        combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        combo.setEditable(True)
        combo.lineEdit().setPlaceholderText(EMPTY[listed])
        return combo

    def choices(self) -> list[str]:
        """Return what any model has."""
        return [PREDICTED] if self._listed == "classes" else [""]

    def postInitialize(self, wrappers) -> None:  # noqa: N802
        """Follow the wrappers of MODEL and HEAD."""
        by_name = {wrapper.parameterDefinition().name(): wrapper for wrapper in wrappers}
        self._model = by_name.get("MODEL")
        self._head = by_name.get("HEAD") if self._listed in ("classes", "reference") else None
        for wrapper in (self._model, self._head):
            if wrapper is not None:
                wrapper.widgetValueHasChanged.connect(self._follow)
        self._follow()

    def _follow(self, *_changed) -> None:
        """List what the model of now has; a word of the model of before gives way to the default."""
        card = self._card()
        words = listed(self._listed, card, _text(self._head)) if card is not None else []
        default = self.choices()[0]
        self._relist([default, *words], default)

    def _relist(self, words: list[str], default: str) -> None:
        combo = self.widget
        before = [combo.itemText(i) for i in range(combo.count()) if isinstance(combo.itemData(i), str)]
        others = [
            (combo.itemText(i), combo.itemData(i))
            for i in range(combo.count())
            if not isinstance(combo.itemData(i), str)
        ]
        shown = combo.currentText()
        combo.blockSignals(True)
        combo.clear()
        for word in dict.fromkeys(words):
            combo.addItem(word, word)
        for text, value in others:
            combo.addItem(text, value)
        kept = default if shown in before and shown not in words else shown
        combo.setCurrentIndex(combo.findText(kept))
        combo.setEditText(kept)
        combo.blockSignals(False)
        if kept != shown:
            self._changed(kept)

    def _fill_layers(self) -> None:
        """List the layers when the list is opened: for these the network itself is needed, and torch."""
        card = self._card()
        if card is None or dependencies.missing(("torch", "safetensors")):
            return
        QApplication.setOverrideCursor(QCursor(Qt.CursorShape.WaitCursor))
        try:
            self._relist(["", COMPONENTS, *_layers(_text(self._model))], "")
        except FloeLensError:
            pass  # said when the tool runs
        finally:
            QApplication.restoreOverrideCursor()

    def _card(self) -> ModelCard | None:
        """Return the card of the model that is chosen; None where there is none, or it is the output of a step."""
        try:
            return registry.load_card(_text(self._model))
        except FloeLensError:
            return None


def listed(kind: str, card: ModelCard, head: str = "") -> list[str]:
    """Return the words of a model that a list shows; classes are those of `head`, or of the first one."""
    if kind in ("classes", "reference"):
        chosen = next((each for each in card.heads if each.name.lower() == head.lower()), card.heads[0])
        return [each.name for each in chosen.classes]
    if kind == "heads":
        return [each.name for each in card.heads]
    if kind == "components":
        return [each.name for each in card.components]
    return [COMPONENTS]


def _layers(model: str) -> tuple[str, ...]:
    from ..networks.inner_layers import layer_names
    from ..networks.package import load

    return layer_names(load(model)[1])


def _text(wrapper) -> str:
    """Return the text of a wrapper of QGIS or of ours; empty where there is none, or it holds something else."""
    value = wrapper.parameterValue() if wrapper is not None else ""
    return value.strip() if isinstance(value, str) else ""


class _OpeningList(QComboBox):
    """A combo box that asks for its list when it is opened."""

    def __init__(self, fill) -> None:
        super().__init__()
        self._fill = fill

    def showPopup(self) -> None:  # noqa: N802
        """Fill the list, and open it."""
        self._fill()
        super().showPopup()
