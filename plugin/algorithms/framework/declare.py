"""Parameters with their help: one short call a parameter.

QGIS keeps a help text per parameter; :mod:`.helptext` makes the page of an algorithm from them. An
enum's words are a promise, so they are given with what each means, and its help lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterPoint,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
)

from ...ground.vocabulary.settings import Setting
from ...ground.vocabulary.words import default_word

WORDS = "floelens_words"  # metadata key: the words of an enum, for messages


def _finished(
    parameter: QgsProcessingParameterDefinition, help_text: str, advanced: bool = False
) -> QgsProcessingParameterDefinition:
    parameter.setHelp(help_text)
    return as_advanced(parameter) if advanced else parameter


def raster(name: str, label: str, help_text: str, optional: bool = False):
    """Return a raster input."""
    return _finished(QgsProcessingParameterRasterLayer(name, label, optional=optional), help_text)


def rasters(name: str, label: str, help_text: str):
    """Return an optional list of rasters."""
    kind = QgsProcessing.SourceType.TypeRaster
    return _finished(QgsProcessingParameterMultipleLayers(name, label, kind, optional=True), help_text)


def as_advanced(parameter: QgsProcessingParameterDefinition):
    """Return a parameter that dialogs show among the advanced ones."""
    parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return parameter


def as_optional(parameter: QgsProcessingParameterDefinition):
    """Return a parameter that need not be given."""
    parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagOptional)
    return parameter


def file(name: str, label: str, help_text: str, optional: bool = False):
    """Return a file of any kind."""
    return _finished(QgsProcessingParameterFile(name, label, optional=optional), help_text)


def files(name: str, label: str, help_text: str, advanced: bool = False):
    """Return an optional list of files."""
    kind = QgsProcessing.SourceType.TypeFile
    return _finished(
        QgsProcessingParameterMultipleLayers(name, label, kind, optional=True), help_text, advanced
    )


def polygons(name: str, label: str, help_text: str):
    """Return an optional polygon layer."""
    kinds = [QgsProcessing.SourceType.TypeVectorPolygon]
    return _finished(QgsProcessingParameterFeatureSource(name, label, kinds, optional=True), help_text)


def raster_or_polygons(name: str, label: str, help_text: str):
    """Return an optional layer that is a raster or holds polygons."""
    kinds = [QgsProcessing.SourceType.TypeRaster, QgsProcessing.SourceType.TypeVectorPolygon]
    return _finished(QgsProcessingParameterMapLayer(name, label, optional=True, types=kinds), help_text)


def field(name: str, label: str, help_text: str, parent: str):
    """Return an optional field of the layer in `parent`."""
    parameter = QgsProcessingParameterField(name, label, parentLayerParameterName=parent, optional=True)
    return _finished(parameter, help_text)


def extent(name: str, label: str, help_text: str):
    """Return an optional rectangle."""
    return _finished(QgsProcessingParameterExtent(name, label, optional=True), help_text)


def point(name: str, label: str, help_text: str, default: str | None = None):
    """Return an optional point, with or without a default."""
    # qgis_process 3.22 asks for a mandatory point even where it has a default.
    return _finished(QgsProcessingParameterPoint(name, label, default, optional=True), help_text)


def text(name: str, label: str, help_text: str, default: str = "", advanced: bool = False):
    """Return a line of text; optional where its default is empty."""
    parameter = QgsProcessingParameterString(name, label, default or None, optional=not default)
    return _finished(parameter, help_text, advanced)


def choice(
    name: str, label: str, help_text: str, words: Mapping[str, str], default: str = "", advanced: bool = False
):
    """Return an enum of static words; `words` says what each means. The first is the default unless one is named."""
    chosen = default or default_word(words)
    parameter = QgsProcessingParameterEnum(
        name, label, list(words), allowMultiple=False, defaultValue=chosen, usesStaticStrings=True
    )
    parameter.setMetadata({WORDS: list(words)})
    listed = "; ".join(f"{word}: {meaning}" for word, meaning in words.items())
    return _finished(parameter, f"{help_text} {listed}.", advanced)


def choices(
    name: str,
    label: str,
    help_text: str,
    words: Mapping[str, str],
    default: Sequence[str] = (),
    advanced: bool = False,
):
    """Return an enum of static words of which several may be chosen; all by default where it names none."""
    chosen = list(default or words)
    parameter = QgsProcessingParameterEnum(
        name, label, list(words), allowMultiple=True, defaultValue=chosen, usesStaticStrings=True
    )
    parameter.setMetadata({WORDS: list(words)})
    listed = "; ".join(f"{word}: {meaning}" for word, meaning in words.items())
    return _finished(parameter, f"{help_text} {listed}.", advanced)


def flag(name: str, label: str, help_text: str, default: bool = False, advanced: bool = False):
    """Return a yes or no."""
    return _finished(QgsProcessingParameterBoolean(name, label, default), help_text, advanced)


def whole(
    name: str,
    label: str,
    help_text: str,
    default: int,
    low: int,
    high: int = 2**31 - 1,
    advanced: bool = False,
):
    """Return a whole number."""
    kind = QgsProcessingParameterNumber.Type.Integer
    return _finished(
        QgsProcessingParameterNumber(name, label, kind, default, False, low, high), help_text, advanced
    )


def number(
    name: str, label: str, help_text: str, default: float, low: float, high: float, advanced: bool = False
):
    """Return a real number."""
    kind = QgsProcessingParameterNumber.Type.Double
    return _finished(
        QgsProcessingParameterNumber(name, label, kind, default, False, low, high), help_text, advanced
    )


def setting(name: str, row: Setting, advanced: bool = True):
    """Return the number that a row of the vocabulary describes."""
    about = (name, row.label, row.help)
    if row.least is None or row.most is None:
        raise ValueError(f"the number {name} has no least and largest value")
    if isinstance(row.default, int):
        return whole(*about, row.default, int(row.least), int(row.most), advanced)
    return number(*about, row.default, row.least, row.most, advanced)


def raster_output(name: str, label: str, help_text: str, optional: bool = False, made: bool = True):
    """Return a raster destination; `made`: dialogs ask for it by default."""
    parameter = QgsProcessingParameterRasterDestination(name, label, None, optional, made)
    return _finished(parameter, help_text)


def table_output(name: str, label: str, help_text: str, optional: bool = False):
    """Return the destination of a table (CSV)."""
    kind = QgsProcessing.SourceType.TypeVector
    return _finished(QgsProcessingParameterVectorDestination(name, label, kind, None, optional), help_text)


def polygon_output(name: str, label: str, help_text: str, made: bool = False):
    """Return the optional destination of polygons (GeoPackage)."""
    kind = QgsProcessing.SourceType.TypeVectorPolygon
    parameter = QgsProcessingParameterVectorDestination(name, label, kind, None, True, made)
    return _finished(parameter, help_text)


def file_output(
    name: str, label: str, help_text: str, file_filter: str, optional: bool = True, made: bool = True
):
    """Return the destination of a file that is no layer."""
    parameter = QgsProcessingParameterFileDestination(name, label, file_filter, None, optional, made)
    return _finished(parameter, help_text)


def folder_output(name: str, label: str, help_text: str):
    """Return the optional destination of a folder."""
    return _finished(QgsProcessingParameterFolderDestination(name, label, None, True, False), help_text)
