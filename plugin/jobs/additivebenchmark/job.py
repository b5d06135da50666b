"""Relevance methods judged on data of which it is known exactly what each input contributed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ...ground.errors import Cancelled, ParameterError
from ...ground.protocols import Progress
from ...ground.vocabulary.additive import (
    ADDITIVE_METHODS,
    ADDITIVE_SIZES,
    GENERATORS,
    REPEATS,
    TRAINING_SAMPLES,
)
from ...ground.vocabulary.benchmarks import QUICK
from ...ground.vocabulary.relevance_methods import MethodChoice
from ...ground.vocabulary.words import check_word, default_word
from ...io.rasters.writer import Outputs
from ...report.ranking.page import RankingPage
from ...report.ranking.sentences import summary
from ..common.provenance import library_versions
from ..common.rankings import sanity_facts, write_ranking
from ..common.unfinished import Unfinished, fingerprint, part_check
from .study import Part, Study, restored, stored
from .trainings import trainings

POINT, SHAPES, FUSION = GENERATORS


@dataclass(frozen=True)
class AdditiveBenchmark:
    """Train networks on sums of known functions, explain them by each method, and rank the maps by the truth.

    Parameters
    ----------
    output : str
        Table (CSV) to write: a row a condition, measure and method.
    generator : str
        A word of :data:`floelens.plugin.ground.vocabulary.additive.GENERATORS`.
    methods : tuple of str
        Words of :data:`floelens.plugin.ground.vocabulary.additive.ADDITIVE_METHODS`.
    size : {'quick', 'full'}
        How many samples.
    seed : int
        Of functions, samples, weights and draws.
    covariance : str, optional
        Of *point*: a file of a covariance of cells (.npz), or a raster of whose bands the correlation is taken.
    functions : str, optional
        Of *point* with cells: a file of one piecewise linear function a cell (.npz).
    network : str, optional
        Of *point* with cells: a trained dense network (HDF5 of Keras) that is scored beside ours.
    training_samples : int
        Of *point*: samples that the network is trained on; 0: as many as `size` says.
    repeats : int
        How often each trained network that a method is recommended for is trained, each time on other samples and from
        other weights.
    report, report_json, report_csv : str, optional
        The report.
    output_raster : str, optional
        Raster of truth, estimates and errors of one sample, where the inputs lie on a grid.
    """

    output: str
    generator: str = default_word(GENERATORS)
    methods: tuple[str, ...] = tuple(ADDITIVE_METHODS)
    size: str = default_word(ADDITIVE_SIZES)
    seed: int = MethodChoice.seed
    covariance: str | None = None
    functions: str | None = None
    network: str | None = None
    training_samples: int = TRAINING_SAMPLES.default
    repeats: int = REPEATS.default
    report: str | None = None
    report_json: str | None = None
    report_csv: str | None = None
    output_raster: str | None = None

    def run(self, progress: Progress) -> dict[str, object]:
        """Write table and report; return their paths under their published names, and numbers."""
        from ...core.benchmarks.ranking import rankings
        from ...core.streaming.runner import host_tensors

        self._check()
        with host_tensors():
            progress.report(0.0, "Reading")
            study = self.study()
            if self.output_raster and study.no_raster:
                raise ParameterError(
                    f"OUTPUT_RASTER cannot be written: {study.no_raster}. Leave OUTPUT_RASTER empty."
                )
            parts, again = self._parts(study, progress)
        judged = [each for part in parts.values() for each in part.judged]
        ranked = rankings(judged, study.measures, self.seed)
        comparisons = (*study.comparisons(parts), *trainings(parts, again, study.measures[0], self.seed))
        page = replace(self._page(study, parts, ranked), comparisons=comparisons)
        with Outputs(progress) as outputs:
            write_ranking(outputs, page, self.output, self.report, self.report_json, self.report_csv)
            if self.output_raster:
                study.write(outputs, self.output_raster, parts, self._tags())
        if (unfinished := self._unfinished()) is not None:
            unfinished.remove()
        for sentence in summary(page):
            progress.message(sentence)
        written = {
            "REPORT": self.report,
            "REPORT_JSON": self.report_json,
            "REPORT_CSV": self.report_csv,
            "OUTPUT_RASTER": self.output_raster,
        }
        return {
            "OUTPUT": self.output,
            **{name: path for name, path in written.items() if path},
            "CONDITIONS": len(page.conditions),
            "RECOMMENDED": page.decisive()[0][1].recommended or "",
        }

    def study(self) -> Study:
        """Return the generator with its networks: what a benchmark of other data replaces."""
        from .fusion import FusionStudy
        from .layered import ShapesStudy, extent_of
        from .points import point_study

        if self.generator == FUSION:
            return FusionStudy.of(self.methods, self.size, self.seed)
        extent = extent_of(self.size, self.training_samples)
        if self.generator == SHAPES:
            return ShapesStudy.of(self.methods, extent, self.seed)
        return point_study(
            self.methods, extent, self.seed, self.size, self.covariance, self.functions, self.network
        )

    def _check(self) -> None:
        check_word("GENERATOR", self.generator, GENERATORS)
        check_word("SIZE", self.size, ADDITIVE_SIZES)
        if not self.methods:
            raise ParameterError("METHODS is empty: choose at least one method.")
        for word in self.methods:
            check_word("METHODS", word, ADDITIVE_METHODS)
        given = {"COVARIANCE": self.covariance, "FUNCTIONS": self.functions, "NETWORK": self.network}
        for name, path in given.items():
            if path and self.generator != POINT:
                raise ParameterError(
                    f"{name} is for GENERATOR=point, but GENERATOR is {self.generator}. Leave {name} empty."
                )
            if path and not self.covariance:
                raise ParameterError(f"{name} belongs to the cells of COVARIANCE, which is empty. Give both.")

    def _tags(self) -> dict[str, str]:
        return {
            "FLOELENS_PRODUCT": "additive benchmark",
            "FLOELENS_GENERATOR": self.generator,
            "FLOELENS_COVARIANCE": Path(self.covariance or "").name,
            "FLOELENS_SIZE": self.size,
            "FLOELENS_SEED": str(self.seed),
            **{f"FLOELENS_VERSION_{key.upper()}": value for key, value in library_versions().items()},
        }

    def _unfinished(self) -> Unfinished | None:
        """Return where finished parts are kept; None for a quick run, which is soon done again."""
        if self.size == "quick":
            return None
        settings = {
            "job": type(self).__name__,
            "generator": self.generator,
            "size": self.size,
            "seed": self.seed,
            "methods": list(self.methods),
            "training_samples": self.training_samples,
            "repeats": self.repeats,
            "files": [fingerprint(path) for path in (self.covariance, self.functions, self.network) if path],
            **library_versions(),
        }
        return Unfinished(self.output, settings)

    def _parts(self, study: Study, progress: Progress) -> tuple[dict[str, Part], dict[str, list[Part]]]:
        """Return the parts by their words, and further trainings of those that are trained again."""
        unfinished = self._unfinished()
        tasks = [(word, word, title, 0) for word, title in study.parts.items()]
        tasks += [
            (f"{word}@{repeat}", word, f"{study.parts[word]}, training {repeat + 1}", repeat)
            for repeat in range(1, self.repeats)
            for word in study.repeated
        ]
        parts: dict[str, Part] = {}
        again: dict[str, list[Part]] = {}
        for number, (key, word, title, repeat) in enumerate(tasks):
            kept = unfinished.get(key) if unfinished else None
            if kept is not None:
                part = restored(*kept)
                progress.message(f"{title}: taken from the run that was stopped.")
            else:
                try:
                    part = study.run(word, part_check(progress, number, len(tasks), title), repeat)
                except Cancelled:
                    if unfinished and unfinished.names:
                        progress.message(
                            f"{len(unfinished.names)} of {len(tasks)} networks are kept in {unfinished.path}: the same "
                            "run goes on from there."
                        )
                    raise
                if unfinished:
                    unfinished.keep(key, *stored(part))
            if repeat:
                again.setdefault(word, []).append(part)
            else:
                parts[word] = part
        return parts, again

    def _page(self, study: Study, parts: dict[str, Part], ranked: tuple) -> RankingPage:
        facts = {**study.facts}
        for word, part in parts.items():
            facts.update({f"{study.parts[word]}: {name}": value for name, value in part.facts.items()})
        return RankingPage(
            title="Additive benchmark",
            subject=study.subject,
            conditions=tuple(condition for part in parts.values() for condition in part.conditions),
            rankings=ranked,
            maps=tuple(example for part in parts.values() for example in part.examples),
            facts=facts,
            other_measures=sanity_facts() if any(part.others for part in parts.values()) else (),
            other_scores=tuple(score for part in parts.values() for score in part.others),
            notes=(*([QUICK] if self.size == "quick" else []), *study.notes(parts)),
            settings={
                "generator": self.generator,
                "size": self.size,
                "seed": self.seed,
                "methods": ", ".join(self.methods),
                "trainings of each network": self.repeats,
                **{
                    name: Path(path).name
                    for name, path in (
                        ("covariance", self.covariance),
                        ("functions", self.functions),
                        ("network", self.network),
                    )
                    if path
                },
            },
            provenance=library_versions(),
        )
