"""What all algorithms share: identity, checks, errors, progress, help, and how layers look.

An algorithm declares parameters (:meth:`FloeLensAlgorithm.declare`), builds a job from what was
given (:meth:`FloeLensAlgorithm.job`) and names its layers. Everything else happens here, once.
"""

from __future__ import annotations

import difflib
import functools
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingException,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterPoint,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorDestination,
)
from qgis.PyQt.QtGui import QIcon

from ...ground import dependencies
from ...ground.errors import FloeLensError, ParameterError
from ...ground.heap import give_back_free_memory
from ...ground.paths import DOCUMENTATION, RESOURCES
from ...io.environment.gdal_state import offline_gdal
from .declare import WORDS
from .destinations import clash, destination_problem, mended, named_sources
from .feedback import CalledProgress, FeedbackProgress, events_of
from .helptext import help_page
from .job_threads import JOB_THREADS, Caller
from .layers import (
    Look,
    RunLayers,
    layer_name,
    order_of,
    short_scene,
    style_when_loaded,
    styled_by_person,
)
from .loaded_layers import close_loaded, forget_layers, note_layers
from .parameter_values import (
    file_problem,
    georeference_problem,
    given,
    missing_problem,
    names_remote,
    plain,
    source_problem,
)
from .reading import Reading, needed

ICONS = RESOURCES / "icons"


class Destinations(Reading):
    """Reads parameters, and where results go: only what was asked for is touched."""

    def __init__(self, algorithm, parameters, context) -> None:
        super().__init__(algorithm, parameters, context)
        self.written: dict[str, str] = {}  # path of each destination asked for, by its name
        self.found: list[str] = []  # inputs that no parameter names: they follow from those that it does

    def layer(self, name: str) -> str | None:
        """Return the path of a raster, polygons or a table; None where it was not asked for."""
        return self._written(name, self._algorithm.parameterAsOutputLayer)

    def file(self, name: str) -> str | None:
        """Return the path of a file; None where it was not asked for."""
        return self._written(name, self._algorithm.parameterAsFileOutput)

    def needed_layer(self, name: str) -> str:
        """Return the path of a raster, polygons or a table that every run writes."""
        return needed(name, self.layer(name))

    def needed_file(self, name: str) -> str:
        """Return the path of a file that every run writes."""
        return needed(name, self.file(name))

    def folder(self, name: str) -> str | None:
        """Return the path of a folder; None where it was not asked for."""
        return self._written(name, self._algorithm.parameterAsString)

    def also(self, name: str, path: str | None) -> str | None:
        """Take note of a file that is written beside another."""
        if path:
            self.written[name] = path
        return path

    def reads(self, paths: Sequence[str]) -> None:
        """Take note of inputs that follow from others, so that no result takes their place."""
        self.found += paths

    def in_qgis(self, function: Callable[[], None]) -> None:
        """Call a function that only QGIS's own thread may call, where a job runs in another."""
        function()

    def _written(self, name: str, resolve) -> str | None:
        definition = self._algorithm.parameterDefinition(name)
        optional = bool(definition.flags() & type(definition).Flag.FlagOptional)
        if optional and not self.given(name):
            return None
        path = resolve(self._parameters, name, self._context)
        problem = destination_problem(definition, path)
        if problem:
            raise ParameterError(problem)
        return self.also(name, path)


class CalledReading:
    """Reads parameters for a job: whatever is asked of the :class:`Destinations` is asked in QGIS's own thread."""

    def __init__(self, values: Destinations, caller: Caller) -> None:
        self._values, self._caller = values, caller

    def __getattr__(self, name: str):
        attribute = getattr(self._values, name)
        return functools.partial(self._caller.call, attribute) if callable(attribute) else attribute


class FloeLensAlgorithm(QgsProcessingAlgorithm):
    """Base of every algorithm; subclasses fill the class attributes and three methods."""

    ID = ""
    TITLE = ""
    SUMMARY = ""
    TAGS: tuple[str, ...] = ()
    GROUP = ("explain", "Explain")
    NEEDS: tuple[str, ...] = dependencies.LIBRARIES
    PRODUCTS: dict[str, str] = {}  # noqa: RUF012  what a layer of each output is called, the most important first
    OVERLAYS: tuple[str, ...] = ()  # outputs that are drawn over the others and hide little of them

    def declare(self) -> None:
        """Add the parameters and outputs."""
        raise NotImplementedError

    def job(self, values: Destinations):
        """Return the job that `values` describe; jobs are imported here, not before."""
        raise NotImplementedError

    def name(self) -> str:
        """Return the id, which never changes."""
        return self.ID

    def displayName(self) -> str:  # noqa: N802
        """Return the name in the toolbox."""
        return self.TITLE

    def shortDescription(self) -> str:  # noqa: N802
        """Return one sentence for the tool tip."""
        return self.SUMMARY

    def shortHelpString(self) -> str:  # noqa: N802
        """Return the help page, made of the declarations."""
        return help_page(self)

    def helpUrl(self) -> str:  # noqa: N802
        """Return the page of the algorithm on the documentation site, which the dialog's *Help* opens."""
        return f"{DOCUMENTATION}/algorithms/{self.ID}.html"

    def group(self) -> str:
        """Return the group in the toolbox."""
        return self.GROUP[1]

    def groupId(self) -> str:  # noqa: N802
        """Return the id of the group."""
        return self.GROUP[0]

    def tags(self) -> list[str]:
        """Return words that find the tool in the toolbox."""
        return ["sea ice", "floelens", *self.TAGS]

    def icon(self) -> QIcon:
        """Return the icon of the algorithm, or of the provider."""
        return QIcon(self.svgIconPath()) if self.svgIconPath() else super().icon()

    def svgIconPath(self) -> str:  # noqa: N802
        """Return the icon as a file."""
        for path in (ICONS / f"{self.ID}.svg", ICONS / "floelens.svg"):
            if path.is_file():
                return str(path)
        return ""

    def createInstance(self):  # noqa: N802
        """Return a fresh algorithm."""
        return type(self)()

    def initAlgorithm(self, configuration=None) -> None:  # noqa: N802
        """Declare the parameters."""
        self.declare()

    def canExecute(self) -> tuple[bool, str]:  # noqa: N802
        """Return whether the libraries are there, and else how to get them."""
        absent = dependencies.missing(self.NEEDS)
        return (False, dependencies.sentence(absent)) if absent else (True, "")

    def checkParameterValues(self, parameters, context) -> tuple[bool, str]:  # noqa: N802
        """Check with our sentences first, then with QGIS's own."""
        note_layers(context)
        parameters = in_words(self.parameterDefinitions(), parameters)
        problem = self.problem(parameters)
        if problem:
            return False, problem
        with self._offline(parameters, context):  # QGIS opens files to see whether they are layers
            accepted, message = super().checkParameterValues(parameters, context)
        return accepted, message if accepted else self._refusal(parameters, context) or message

    def problem(self, parameters: dict) -> str | None:
        """Return what is wrong with the parameters, in one sentence; None where nothing is."""
        absent = dependencies.missing(self.NEEDS)
        if absent:  # qgis_process 3.22 does not ask canExecute
            return dependencies.sentence(absent)
        known = [definition.name() for definition in self.parameterDefinitions()]
        for name, value in parameters.items():
            if name not in known:
                return _unknown(name, known)
            if "\0" in str(plain(value)):
                return f"{name} holds a NUL, a character that no path and no text can have. Type it again."
        for definition in self.parameterDefinitions():
            value = parameters.get(definition.name())
            if given(value):
                problem = _value_problem(definition, value)
                if problem:
                    return problem
        return None

    def _refusal(self, parameters: dict, context) -> str | None:
        """Return in our words what QGIS does not accept, where the value itself is at fault."""
        for definition in self.parameterDefinitions():
            name, value = definition.name(), plain(parameters.get(definition.name()))
            text = isinstance(value, (str, int, float)) and not definition.isDestination()
            if not text or definition.checkValueIsAcceptable(parameters[name], context):
                continue
            if value == "":
                return f"{name} is empty. Leave it out for its default, {definition.defaultValue()}."
            if isinstance(definition, QgsProcessingParameterNumber):
                lowest, highest = definition.minimum(), definition.maximum()
                return f"{name} is {value}; it must be a number from {lowest:g} to {highest:g}."
            if isinstance(definition, QgsProcessingParameterRasterLayer):
                return (
                    f"{name}: QGIS cannot open {value} as one raster. Of NetCDF, HDF5 and products 'Import scene' "
                    "makes rasters: choose what it writes."
                )
            return f"{name} cannot be '{value}'. {definition.help()}"
        return None

    def processAlgorithm(self, parameters, context, feedback) -> dict:  # noqa: N802
        """Run the job; every error becomes one sentence and an exit code other than 0."""
        note_layers(context)
        parameters = in_words(self.parameterDefinitions(), parameters)
        results, failure = self._attempt(parameters, context, feedback)
        give_back_free_memory()
        if not failure:
            forget_layers(context)
            return results
        close_loaded(context)
        forget_layers(context)
        # QGIS never gives back the exception it takes here, nor the frames that lead to it.
        del self, parameters, context, feedback, results
        raise QgsProcessingException(failure)

    def _attempt(self, parameters, context, feedback) -> tuple[dict, str]:
        """Return the results, and what went wrong in one sentence; nothing of an error outlives this."""
        try:
            problem = self.problem(parameters)  # a model does not call checkParameterValues of its steps
            if problem:
                return {}, problem
            values = Destinations(self, parameters, context)
            sources = named_sources(self.parameterDefinitions(), parameters, context)
            with self._offline(parameters, context):  # QGIS opens files in this thread
                results = JOB_THREADS.run(
                    lambda caller: self._work(values, sources, feedback, caller), events_of(feedback)
                )
        except FloeLensError as error:
            return {}, str(error)
        except ModuleNotFoundError as error:
            if not error.name or error.name.split(".")[0] == __package__.split(".")[0]:
                return {}, self._unexpected(error, feedback)
            return {}, dependencies.sentence([error.name.split(".")[0]])
        except Exception as error:
            return {}, self._unexpected(error, feedback)
        try:
            self._style_layers(values, results, context)
        except Exception as error:  # the results are there: looks alone are no reason to fail
            feedback.pushWarning(f"The layers keep QGIS's own style ({type(error).__name__}: {error}).")
        declared = {output.name() for output in self.outputDefinitions()}
        return {name: value for name, value in {**values.written, **results}.items() if name in declared}, ""

    @staticmethod
    def _offline(parameters: dict, context):
        """Return a block in which files are opened without the network, unless a person has named one there."""
        return offline_gdal(any(names_remote(value, context) for value in parameters.values()))

    def _work(self, values: Destinations, sources, feedback, caller: Caller) -> dict:
        """Make the job and run it, in a thread of its own; `caller` reads parameters and writes to the log."""
        for library in self.NEEDS:  # what is found may still be broken
            dependencies.require(library)
        progress = CalledProgress(FeedbackProgress(feedback), caller)
        for sentence in mended(sources):
            progress.warn(sentence)
        job = self.job(cast(Destinations, CalledReading(values, caller)))
        problem = clash(values.written, [*sources, *values.found])
        if problem:
            raise ParameterError(problem)
        for warning in values.warnings:
            progress.warn(warning)
        return job.run(progress)

    def _unexpected(self, error: Exception, feedback) -> str:
        details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        feedback.pushDebugInfo(details)
        return (
            f"{self.TITLE} failed unexpectedly ({type(error).__name__}: {error}). This is a fault of "
            "FloeLens: please report it with the traceback in the log above."
        )

    def _style_layers(self, values: Destinations, results: dict, context) -> None:
        first = next(iter(values.written.values()), "")
        scene = short_scene(results.get("SCENE_NAME") or Path(first).stem)
        loaded = [
            name for name in self.PRODUCTS if context.willLoadLayerOnCompletion(values.written.get(name, ""))
        ]
        run = RunLayers()
        order = order_of(loaded, self.OVERLAYS, [name for name in loaded if self._is_table(name)])
        for rank, (name, shown) in enumerate(order):
            product = results.get(f"{name}_TITLE") or self.PRODUCTS[name]
            look = Look(
                self.parameterDefinition(name).description(),
                layer_name(product, results.get("CLASS_NAME"), scene, results.get("MODEL_ID")),
                f"FloeLens {scene}",
                styled_by_person(self.id(), name),
                rank,
                shown,
            )
            style_when_loaded(context, values.written[name], look, run)

    def _is_table(self, name: str) -> bool:
        definition = self.parameterDefinition(name)
        return (
            isinstance(definition, QgsProcessingParameterVectorDestination) and not definition.hasGeometry()
        )


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
    return f"Unknown parameter {name}. {hint}"


def _value_problem(definition, value: object) -> str | None:
    name = definition.name()
    if definition.isDestination():
        return destination_problem(definition, value)
    if isinstance(definition, (QgsProcessingParameterExtent, QgsProcessingParameterPoint)):
        return georeference_problem(name, value) or missing_problem(name, value) or file_problem(name, value)
    if isinstance(definition, (QgsProcessingParameterFeatureSource, QgsProcessingParameterMapLayer)):
        return missing_problem(name, value) or file_problem(name, value)
    if isinstance(definition, QgsProcessingParameterRasterLayer):
        return source_problem(name, value)
    if isinstance(definition, QgsProcessingParameterMultipleLayers):
        items = plain(value)
        for item in items if isinstance(items, (list, tuple)) else [items]:
            if given(item) and definition.layerType() == QgsProcessing.SourceType.TypeRaster:
                problem = source_problem(name, item)
                if problem:
                    return problem
    if isinstance(definition, QgsProcessingParameterEnum):
        words = definition.metadata().get(WORDS, [])
        for word in _chosen(plain(value), definition.allowMultiple()):
            if words and word is not None and word not in words:
                return f"{name} is '{word}'; it must be one of: {', '.join(words)}."
    return None


def in_words(definitions: Sequence, parameters: dict) -> dict:
    """Return parameters with words for the numbers by which QGIS lists those of an enum."""
    changed = dict(parameters)
    for definition in definitions:
        value = plain(parameters.get(definition.name()))
        words = definition.metadata().get(WORDS, [])
        if words and given(value):
            several = definition.allowMultiple()
            given_words = list(_chosen(value, several))
            chosen = [_word(each, words) for each in given_words]
            if chosen != given_words:
                changed[definition.name()] = chosen if several else chosen[0]
    return changed


def _word(value: Any, words: Sequence[str]) -> Any:
    """Return the word at a place in the list, from 0; anything else as it is."""
    text = str(value).strip()
    place = int(text) if text.isdecimal() and text not in words and not isinstance(value, bool) else -1
    return words[place] if 0 <= place < len(words) else value


def _chosen(value: Any, several: bool) -> Sequence[Any]:
    """Return the words of an enum's value: a list, or text with commas, where several may be chosen."""
    if several and isinstance(value, str):
        return value.split(",")
    return value if several and isinstance(value, (list, tuple)) else [value]
