"""Stamps whose place is known, and whether relevance lies on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...ground.errors import ModelError, ParameterError
from ...ground.protocols import Part, Progress, Source
from ...ground.vocabulary.benchmarks import QUICK
from ...ground.vocabulary.relevance_methods import METHODS, MethodChoice
from ...ground.vocabulary.stamps import (
    CLASSIFIER,
    CONTRAST,
    MODEL,
    OFFSET_KELVIN,
    PARTS,
    POSITIONS,
    STAMP_DEFAULT_METHODS,
    STAMP_EXTENTS,
    STAMP_METHODS,
    STAMP_SIZE,
    STAMPS,
)
from ...ground.vocabulary.words import check_word, default_word
from ...ground.window import Window
from ...io.rasters.writer import Outputs
from ...io.scene.reader import Scene
from ..common.inputs import SceneInputs, conclude
from ..common.provenance import library_versions, provenance
from ..common.rankings import write_ranking
from ..common.settings import ClassChoice, ReportPaths
from ..common.unfinished import Part as StoredPart
from ..common.unfinished import Unfinished, fingerprint, part_check
from .maps import write_changes
from .page import Found, stamp_page
from .stored import changes_of, classifier_of, stored_changes, stored_classifier

if TYPE_CHECKING:
    from ...core.benchmarks.stamps.run import ClassifierResult, Extent
    from ...core.benchmarks.stamps.scene import MethodChanges, SceneStudy
    from ...core.benchmarks.stamps.stamps import Stamp, StampSettings
    from ...core.simulation.source import SimulatedSource
    from ...core.streaming.runner import Runner

SIMULATED_SIDE = 600  # pixels of each simulated scene that images are taken from
STUDIED_SIDE = 1000  # of the simulated scene that a network is tried on
CELL_SIZE = 2000.0  # m


@dataclass(frozen=True)
class StampTable:
    """Where the ranking goes, and the network.

    Parameters
    ----------
    output : str
        Table (CSV) to write.
    model : str
        Id of an installed model, or a path to a package: whose channels are stamped, and which is tried on the scene.
    """

    output: str
    model: str


@dataclass(frozen=True)
class StampBenchmark(ReportPaths, ClassChoice, StampTable):
    """Put stamps into images and scenes, and score whether relevance lies on them.

    Parameters
    ----------
    scene : SceneInputs, optional
        A scene of the user's own; simulated ones where None.
    stamps, methods, parts : tuple of str
        Words of :mod:`floelens.plugin.ground.vocabulary.stamps`.
    size : {'quick', 'full'}
        How many images and places.
    seed : int
        Of images, places, weights and draws.
    stamp_size, contrast, offset, stamp_channels, position
        As :class:`floelens.plugin.core.benchmarks.stamps.stamps.StampSettings` has them.
    output_raster : str, optional
        Raster of the change of relevance, on the scene's grid.
    """

    scene: SceneInputs | None = None
    stamps: tuple[str, ...] = tuple(STAMPS)
    methods: tuple[str, ...] = STAMP_DEFAULT_METHODS
    parts: tuple[str, ...] = tuple(PARTS)
    size: str = default_word(STAMP_EXTENTS)
    seed: int = MethodChoice.seed
    stamp_size: int = STAMP_SIZE.default
    contrast: float = CONTRAST.default
    offset: float = OFFSET_KELVIN.default
    stamp_channels: tuple[str, ...] = ()
    position: str = default_word(POSITIONS)
    output_raster: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write table, report and raster; return their paths under their published names, and numbers."""
        from ...core.benchmarks.stamps.run import EXTENTS
        from ...core.benchmarks.stamps.stamps import Stamp
        from ...core.streaming.runner import host_tensors
        from ...report.ranking.sentences import summary

        settings = self._check()
        runner = self.compute.runner(self.model, progress)
        self.target().resolve(runner.card)
        stamps = tuple(Stamp.of(word, runner.card, settings) for word in self.stamps)
        extent = EXTENTS[self.size]
        self._check_size(stamps, extent)
        unfinished = self._unfinished()
        with host_tensors(), self._opened(runner, progress) as scene, Outputs(progress) as outputs:
            classifiers: tuple[ClassifierResult, ...] = ()
            both = len(self.parts) > 1
            if CLASSIFIER in self.parts:
                part = Part(progress, 0.0, 0.5 if both else 1.0)
                classifiers = self._classifiers(runner, scene, stamps, settings, extent, part, unfinished)
            study: SceneStudy | None = None
            changes: tuple[MethodChanges, ...] = ()
            refused: dict[str, str] = {}
            if MODEL in self.parts:
                part = Part(progress, 0.5 if both else 0.0, 1.0)
                study, changes, refused = self._changes(runner, scene, stamps, extent, part, unfinished)
            found = self._found(classifiers, study, changes, refused)
            tags = self._tags(runner, scene)
            if scene is not None:
                tags.update(conclude(scene, progress, outputs))
            page = stamp_page(
                found,
                self.seed,
                self._images(scene, extent),
                scene.name if scene is not None else "a simulated scene",
                runner.card.id,
                {**self._asked(), **_done(extent)},
                tags,
                (
                    *([QUICK] if self.size == "quick" else []),
                    *(scene.warnings if scene is not None else ()),
                ),
            )
            write_ranking(outputs, page, self.output, self.report, self.report_json, self.report_csv)
            if self.output_raster and scene is not None and study is not None:
                units = {word: METHODS[word].unit for word in self.methods}
                write_changes(outputs, self.output_raster, scene, study, changes, units, tags)
        if unfinished is not None:
            unfinished.remove()
        sentences = summary(page)
        for sentence in sentences:
            progress.message(sentence)
        return {
            **self.written(OUTPUT=self.output, OUTPUT_RASTER=self.output_raster),
            "MODEL_ID": runner.card.id,
            "SCENE_NAME": scene.name if scene is not None else "",
            "VERDICT": sentences[0],
            "IMAGES": sum(len(each.judged[0].scores["distance"]) for each in classifiers if each.judged),
            "PLACES": len(study.places) if study is not None else 0,
        }

    def _check(self) -> StampSettings:
        from ...core.benchmarks.stamps.stamps import StampSettings

        check_word("SIZE", self.size, STAMP_EXTENTS)
        for name, words, known in (
            ("STAMPS", self.stamps, STAMPS),
            ("METHODS", self.methods, STAMP_METHODS),
            ("PARTS", self.parts, PARTS),
        ):
            if not words:
                raise ParameterError(f"{name} is empty: choose at least one of: {', '.join(known)}.")
            for word in words:
                check_word(name, word, known)
        if self.output_raster and (self.scene is None or MODEL not in self.parts):
            needed = "SAR is empty" if self.scene is None else "PARTS leaves 'model' out"
            raise ParameterError(
                f"OUTPUT_RASTER lies on the grid of a scene, but {needed}. Give SAR and PARTS=model, or leave "
                "OUTPUT_RASTER empty."
            )
        return StampSettings(self.stamp_size, self.contrast, self.offset, self.stamp_channels, self.position)

    def _check_size(self, stamps: tuple[Stamp, ...], extent: Extent) -> None:
        """Refuse stamps that leave no regular cell in an image, before anything is computed."""
        for stamp in stamps:
            if CLASSIFIER in self.parts and stamp.coarse and stamp.size >= extent.cells:
                raise ParameterError(
                    f"STAMP_SIZE is {stamp.size}, but images of SIZE={self.size} have {extent.cells} x {extent.cells} "
                    f"cells. Choose a smaller one or PARTS=model, or leave {stamp.word} out of STAMPS."
                )

    @contextmanager
    def _opened(self, runner: Runner, progress: Progress) -> Iterator[Scene | None]:
        if self.scene is None:
            yield None
            return
        with self.scene.open(runner.card, progress) as scene:
            yield scene

    def _classifiers(
        self,
        runner: Runner,
        scene: Scene | None,
        stamps: tuple[Stamp, ...],
        settings: StampSettings,
        extent: Extent,
        progress: Progress,
        unfinished: Unfinished | None,
    ) -> tuple[ClassifierResult, ...]:
        from ...core.benchmarks.stamps.images import gather
        from ...core.benchmarks.stamps.run import run_classifier

        kept = {stamp.word: _kept(unfinished, f"classifier_{stamp.word}") for stamp in stamps}
        images = None
        if not all(kept.values()):
            drawing = part_check(Part(progress, 0.0, 0.1), 0, 1, "Drawing images")
            sources = self._sources(runner, scene, extent, drawing)
            side = extent.cells * max(runner.ratio, LEAST_CELL // runner.ratio * runner.ratio)
            images = gather(
                runner, sources, side, extent.images, self.seed, lambda share: drawing(0.5 + 0.5 * share)
            )
        results = []
        for number, stamp in enumerate(stamps):
            part = kept[stamp.word]
            if part is not None:
                progress.message(f"Classifier of {stamp.word}: taken from the run that was stopped.")
                results.append(classifier_of(stamp, *part))
                continue
            if images is None:
                raise AssertionError("images is None")
            share = Part(progress, 0.1 + 0.9 * number / len(stamps), 0.1 + 0.9 * (number + 1) / len(stamps))
            check = part_check(share, 0, 1, f"Classifier of {stamp.word}")
            result = run_classifier(images, stamp, settings, self.methods, extent, self.seed, check)
            if unfinished is not None:
                unfinished.keep(f"classifier_{stamp.word}", *stored_classifier(result))
            results.append(result)
        return tuple(results)

    def _sources(
        self, runner: Runner, scene: Scene | None, extent: Extent, check: Callable[[float], None]
    ) -> list[tuple[Source, Window]]:
        if scene is not None:
            return [(scene, scene.region)]
        found: list[tuple[Source, Window]] = []
        for number in range(extent.scenes):
            check(0.5 * number / extent.scenes)
            source = _simulated(runner, self.seed * 1000 + number + 1, SIMULATED_SIDE)
            found.append((source, Window(0, 0, source.rows, source.cols)))
        return found

    def _changes(
        self,
        runner: Runner,
        scene: Scene | None,
        stamps: tuple[Stamp, ...],
        extent: Extent,
        progress: Progress,
        unfinished: Unfinished | None,
    ) -> tuple[SceneStudy, tuple[MethodChanges, ...], dict[str, str]]:
        from ...core.benchmarks.stamps.places import places_of
        from ...core.benchmarks.stamps.scene import SceneStudy, method_of

        source = scene if scene is not None else _simulated(runner, self.seed * 1000 + 999, STUDIED_SIDE)
        region = scene.region if scene is not None else Window(0, 0, source.rows, source.cols)
        places = places_of(runner, source, region, stamps, extent.places, self.seed)
        study = SceneStudy(
            runner,
            source,
            self.target(),
            stamps,
            self.position,
            places,
            self.seed,
        )
        changes, refused = [], {}
        for number, word in enumerate(self.methods):
            part = _kept(unfinished, f"model_{word}")
            if part is not None:
                changes += changes_of(*part)
                continue
            share = Part(progress, number / len(self.methods), (number + 1) / len(self.methods))
            method = method_of(word, extent.steps, extent.draws, self.seed)
            try:
                found = study.method_changes(
                    word, method, part_check(share, 0, 1, f"{runner.card.id}: {word}")
                )
            except ModelError as error:
                refused[word] = str(error)
                continue
            if unfinished is not None:
                unfinished.keep(f"model_{word}", *stored_changes(found))
            changes += found
        order = {stamp.word: number for number, stamp in enumerate(stamps)}
        return study, tuple(sorted(changes, key=lambda each: order[each.stamp])), refused

    def _found(
        self,
        classifiers: tuple[ClassifierResult, ...],
        study: SceneStudy | None,
        changes: tuple[MethodChanges, ...],
        refused: dict[str, str],
    ) -> Found:
        if study is None:
            return Found(classifiers)
        if not changes:
            raise ParameterError(
                f"No method of METHODS applies to this network: {next(iter(refused.values()), '')}"
            )
        controls = [judged for stamp in study.stamps for judged in study.controls(stamp)]
        return Found(classifiers, changes, tuple(controls), study, refused)

    def _images(self, scene: Scene | None, extent: Extent) -> str:
        if scene is not None:
            return f"Images are windows of {scene.name}, each with and without the stamp."
        return (
            f"Images are windows of {extent.scenes} simulated scenes, each with and without the stamp; held-out ones "
            "are of other scenes."
        )

    def _asked(self) -> dict[str, object]:
        """Return what was asked for, as the report lists it and a stopped run is known by."""
        return {
            "stamps": ", ".join(self.stamps),
            "methods": ", ".join(self.methods),
            "size": self.size,
            "seed": self.seed,
            "stamp size": self.stamp_size,
            "contrast (dB)": self.contrast,
            "radiometer offset (K)": self.offset,
            "stamped channels": ", ".join(self.stamp_channels) or "as usual for each stamp",
            "position": self.position,
        }

    def _tags(self, runner: Runner, scene: Scene | None) -> dict[str, str]:
        if scene is None or self.scene is None:
            return {"model": runner.card.id, **library_versions()}
        target = self.target().resolve(runner.card).text
        return provenance(
            runner.card,
            self.scene,
            scene,
            runner.precision,
            product="stamp benchmark",
            target=target,
            **{name.replace(" ", "_"): str(value) for name, value in self._asked().items()},
        )

    def _unfinished(self) -> Unfinished | None:
        """Return where finished parts are kept; None for a quick run, which is soon done again."""
        if self.size == "quick":
            return None
        scene = asdict(self.scene) if self.scene is not None else {}
        asked = {
            **self._asked(),
            "model": self.model,
            "class": [self.head, self.class_name, self.reference_class],
        }
        return Unfinished(
            self.output,
            {
                **asked,
                "job": type(self).__name__,
                "scene": repr(scene),
                "files": [fingerprint(path) for path in _files(self.scene)],
                "precision": self.compute.precision,
                **library_versions(),
            },
        )


LEAST_CELL = 25  # pixels; smaller cells count together


def _simulated(runner: Runner, seed: int, side: int) -> SimulatedSource:
    """Return a simulated scene as a source, with pixels and cells of the network's own sizes."""
    from ...core.simulation import SimulatedScene
    from ...core.simulation.source import SimulatedSource

    card = runner.card
    pixel_size = CELL_SIZE / card.ratio if card.coarse_channels else card.pixel_size_m
    return SimulatedSource(SimulatedScene(seed, side, side, pixel_size), card)


def _done(extent: Extent) -> dict[str, object]:
    """Return how much a size does, as the report lists it."""
    return {
        "images (a fifth held out)": extent.images,
        "images explained, at most": extent.explained,
        "nodes of integrated gradients": extent.steps,
        "draws of SmoothGrad": extent.draws,
        "places, at most": extent.places,
    }


def _files(scene: SceneInputs | None) -> list[str]:
    """Return the rasters of a scene."""
    return [path for path in (scene.sar, scene.mwr, *scene.ancillary) if path] if scene is not None else []


def _kept(unfinished: Unfinished | None, name: str) -> StoredPart | None:
    return unfinished.get(name) if unfinished is not None else None
