"""The report of a run of relevance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...ground.vocabulary.relevance_methods import SETTINGS
from ...io.rasters.writer import Outputs
from ...networks.card_benchmarks import benchmark_sentence
from ...report.page.tables import csvt_path
from ...report.relevance.conservation import Conservation
from ...report.relevance.content import PREDICTED_CLASS, ChannelRelevance, RelevanceReport
from ...report.relevance.report import relevance_csv, relevance_csvt, relevance_html, relevance_json
from ..common.provenance import model_facts

if TYPE_CHECKING:
    from ...core.relevance.methods import Method
    from ...core.relevance.run import RelevanceResult
    from ...core.streaming.runner import Runner
    from ...core.target.target import Seeding


def report_page(
    runner: Runner,
    seeding: Seeding,
    result: RelevanceResult,
    channels: tuple[ChannelRelevance, ...],
    focus: str = "",
    **said: Any,
) -> RelevanceReport:
    """Return the content of a report.

    Parameters
    ----------
    runner, seeding, result : Runner, Seeding, RelevanceResult
        The network, what was explained, and the sums of the run.
    channels : tuple of ChannelRelevance
        What speaks for and against, by channel.
    focus : str
        What the network was allowed to see, in words; empty for all.
    **said
        Further fields of :class:`.RelevanceReport`: what the job knows of the scene and its parameters.
    """
    return RelevanceReport(
        model=model_facts(runner.card),
        head=seeding.head.name,
        target_class=PREDICTED_CLASS if seeding.classes is None else seeding.names(seeding.classes),
        reference_class=seeding.names(seeding.against),
        pixels=int(result.pixels),
        method=result.method.name,
        channels=channels,
        conservation=Conservation.of(result.conservation),
        settings={**_reported(result.method), **({"input focus": focus} if focus else {})},
        several_classes=seeding.outputs > 1,
        component=seeding.component,
        component_weight=_component_weight(runner, seeding),
        benchmark=benchmark_sentence(runner.card.benchmarks, result.method.name),
        **said,
    )


def _component_weight(runner: Runner, seeding: Seeding) -> float | None:
    """Return the weight of the explained component for the class, less that of the reference; None without one."""
    if not seeding.component or seeding.classes is None:
        return None
    from ...core.target.component import component_weights

    weights = component_weights(runner, seeding.head.name, seeding.component)
    of_class = weights[list(seeding.classes)].mean()
    return float(of_class - (weights[list(seeding.against)].mean() if seeding.against else 0.0))


def write_report(
    outputs: Outputs, page: RelevanceReport, html: str | None, as_json: str | None, as_csv: str | None
) -> None:
    """Write a report as HTML, JSON and CSV, as far as there is a path for each."""
    for path, make in ((html, relevance_html), (as_json, relevance_json), (as_csv, relevance_csv)):
        if path:
            outputs.file(path).write_text(make(page), encoding="utf-8")
    if as_csv:
        outputs.file(csvt_path(as_csv)).write_text(relevance_csvt(), encoding="utf-8")


def _reported(method: Method) -> dict[str, object]:
    """Return the settings that a method uses, as a report names them."""
    words = {"z_box": f"z_box (z^B, inputs within ±{method.bound:g} standard deviations)"}
    return {
        SETTINGS[name].reported: words.get(str(value), value)
        for name, value in method.used_settings().items()
    }
