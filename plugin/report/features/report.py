"""The report of a feature analysis: three sentences, importance, distributions, skill by features kept, maps."""

from __future__ import annotations

from dataclasses import asdict

from ..page import figures
from ..page.html import Figure, Section, Table, render
from ..page.tables import csv_text, csvt_text, json_text
from .content import FeatureReport
from .figures import SHOWN_BARS, importance_figure, maps_figure, skill_figure, violins_figure
from .sentences import how_many_text, importance_text, percent, summary

FORMAT = "floelens-features-report"
FORMAT_VERSION = 1
_STRINGS = ("feature", "sensor", "scale", "kept", "differs_most_in")
_WHOLE = ("rank",)
PRINTED_ROWS = 40
_NOT_PRINTED = ("rank", "sd", "mean_activation")  # of the table, which the CSV has all of
SCALE_NAMES = {"linear": "linear", "tanh": "tanh", "image": "sample by sample"}

CAVEATS = (
    "Importance is what a feature adds to the logit (gradient x activation), not what the world shows: features that "
    "say the same share it, and one of them may look unimportant.",
    "Importance is taken from samples that are classified as labelled; without labels all samples count, in the class "
    "that is predicted.",
    "At the last layer the full map is the logit but for its bias, whatever the network learned: whether the map is "
    "worth something shows at earlier layers.",
    "A feature set to zero or to its mean makes activations that the network never saw; both are given, since neither "
    "is neutral.",
    "The mask of the predicted class is circular: it keeps what made the prediction. The authors use it; judge by the "
    "top set of one class.",
    "The common scale holds for one model, layer, kind of map and target. Beyond its limits values go below 0 and "
    "above 1; nothing is cut off in the file.",
)


def features_html(report: FeatureReport) -> str:
    """Return the report as one HTML page: maps first, or else the importance, then what must be noted."""
    sections = [*_maps(report), _importance(report), *_names(report)]
    if report.values:
        picture = figures.svg(
            violins_figure(report.values, [name for name, *_ in report.classes]), "violins", "values by class"
        )
        caption = (
            "What each leading feature adds to the logit in the samples of a class (number of samples in brackets), "
            "misclassified ones too. Features that tell classes apart lie apart."
        )
        sections.append(Section("Features by class", figures=(Figure(picture, caption),)))
    if report.skill is not None:
        sections.append(_skill(report))
    sections.append(_scale(report))
    sections += report.sections
    sections.append(Section("How to read this, and how not to", points=CAVEATS))
    sections.append(Section("What was asked", tables=(_asked(report),), folded=True))
    return render(
        title=f"Features of layer {report.layer}: {report.target}",
        subtitle=f"{report.scenes[0]} – {report.model.title} ({report.model.id})",
        summary=summary(report),
        sections=sections,
        warnings=(*report.model.caveats(), *report.warnings),
        provenance=report.provenance,
        warnings_after=1,
    )


def _maps(report: FeatureReport) -> list[Section]:
    if report.picture is None:
        return []
    name = f"map, {SCALE_NAMES[report.scale.form]} scale"
    picture = figures.svg(maps_figure(report.picture, name), "maps", "maps of the leading features")
    caption = (
        f"The logit of {report.target}, the class activation map, and what the leading features add to the logit at "
        "each pixel; the features share one scale. Purple against, orange for the class."
    )
    return [Section("Maps", figures=(Figure(picture, caption),))]


def _names(report: FeatureReport) -> list[Section]:
    if not report.names:
        return []
    rows = [{"names": each.span, "meaning": each.meaning} for each in report.names]
    return [
        Section(
            "What the names mean",
            tables=(Table((("names", "features"), ("meaning", "what they are")), rows),),
        )
    ]


def _importance(report: FeatureReport) -> Section:
    picture = figures.svg(
        importance_figure(report.rows, report.ranked_by), "importance", "importance of features"
    )
    caption = (
        f"The {min(SHOWN_BARS, len(report.rows))} most important of {len(report.rows)} features, by the size of "
        f"{report.ranked_by}."
    )
    columns = tuple(
        (name, name.replace("_", " "))
        for name in report.columns
        if name not in _NOT_PRINTED and any(row[name] not in ("", None) for row in report.rows)
    )
    cut = f"The first {PRINTED_ROWS}; all are in the CSV." if len(report.rows) > PRINTED_ROWS else ""
    table = Table(columns, report.rows[:PRINTED_ROWS], f"Logit, means over samples. {cut}".strip())
    text = (
        "Importance (IM) is what a feature adds to the logit, the mean over samples: in all (im all), in those of a "
        f"class, and the difference of the two (im diff). {importance_text(report)}",
    )
    return Section("Importance", text=text, figures=(Figure(picture, caption),), tables=(table,))


def _skill(report: FeatureReport) -> Section:
    facts = report.skill
    if facts is None:
        raise AssertionError("facts is None")
    picture = figures.svg(
        skill_figure(facts, len(report.rows)), "skill", "skill against the number of features kept"
    )
    what = (
        "accuracy against labels" if facts.labelled else "share of pixels of the class the whole network maps"
    )
    caption = (
        f"Skill ({what}) in {facts.windows} windows of the mapped scene, {facts.pixels} pixels, with only some "
        "features; whiskers span the random sets, the dotted line is the whole network, the dashed one is it "
        "without any feature of the layer."
    )
    columns = (
        ("kept", "features kept"), ("number", "number"), ("fill", "others at"),
        *((("skill", "accuracy"),) if facts.labelled else ()),
        ("r2", "R² of logit"), ("agreement", "same class as whole"), ("range", "range over sets"),
    )  # fmt: skip
    rows = [
        {
            "kept": _kept_text(row.kind, row.share),
            "number": row.number,
            "fill": row.fill,
            "skill": row.skill,
            "r2": row.r2,
            "agreement": row.agreement,
            "range": f"{row.low:.3f} to {row.high:.3f}" if row.sets > 1 else "",
        }
        for row in facts.rows
        if row.share in (0.0, 0.05, 0.1, 0.25, 0.5)
    ]
    return Section(
        "How many features suffice",
        text=tuple(how_many_text(facts)),
        figures=(Figure(picture, caption),),
        tables=(Table(columns, rows),),
    )


def _kept_text(kind: str, share: float) -> str:
    if kind == "none":
        return "none"
    return f"all but top {percent(share)}" if kind == "complement" else f"{kind} {percent(share)}"


def _scale(report: FeatureReport) -> Section:
    scale = report.scale
    origin = "as given by SCALE_IN" if scale.reused else "of this run"
    text = (
        f"The common scale, {origin}, rests on {scale.samples} samples of {scale.scenes} scene(s): "
        f"lo = {scale.low:.4g}, the median of their minima, hi = {scale.high:.4g}, the 90th percentile of their maxima "
        "(logit a pixel)."
    )
    columns = (("scale", "map scaled"), ("pearson", "Pearson r"), ("spearman", "Spearman r"))
    rows = [asdict(row) for row in report.consistency]
    caption = "Correlation over samples of the map's mean with the mean logit."
    texts = (text, report.beside) if report.beside else (text,)
    return Section("Scale", text=texts, tables=(Table(columns, rows, caption),) if rows else ())


def _asked(report: FeatureReport) -> Table:
    asked = {
        "scenes": ", ".join(report.scenes),
        "head": report.head,
        "target": report.target,
        "layer": report.layer,
        "map": report.cam,
        "samples": report.sampling,
        **{
            f"class {name}": f"{count} samples, {labelled} labelled, {correct} counted"
            for name, count, labelled, correct in report.classes
        },
    }
    return Table((("what", ""), ("value", "")), [{"what": k, "value": v} for k, v in asked.items()])


def features_csv(report: FeatureReport) -> str:
    """Return the table as CSV."""
    return csv_text(report.columns, report.rows)


def features_csvt(report: FeatureReport) -> str:
    """Return the types of its columns."""
    types = {**dict.fromkeys(_STRINGS, "String"), **dict.fromkeys(_WHOLE, "Integer64")}
    return csvt_text(report.columns, types)


def features_json(report: FeatureReport) -> str:
    """Return the same content as JSON."""
    return json_text(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "summary": summary(report),
            "scenes": report.scenes,
            "model": report.model,
            "head": report.head,
            "target": report.target,
            "layer": report.layer,
            "cam": report.cam,
            "samples": report.sampling,
            "classes": [
                {"class": name, "samples": count, "labelled": labelled, "counted": correct}
                for name, count, labelled, correct in report.classes
            ],
            "features": report.rows,
            "ranked_by": report.ranked_by,
            "scale": report.scale,
            "consistency": report.consistency,
            "skill": report.skill,
            **report.extra,
            "caveats": CAVEATS,
            "provenance": report.provenance,
            "warnings": report.warnings,
        }
    )
