"""The settings that jobs share, each with its default written once.

A job derives from those that it takes. What must be given comes first, so the class of its rasters is the *last* base:
of dataclasses the fields of the last base stand first::

    class Relevance(MethodChoice, ReportPaths, ClassChoice, RelevanceRasters): ...

    Relevance(scene, model, sar_relevance, ..., head=..., report=..., method=..., steps=...)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...ground.vocabulary.words import PREDICTED
from .inputs import Compute, SceneInputs

if TYPE_CHECKING:
    from ...core.target.target import RegionMask, Target


@dataclass(frozen=True)
class SceneJob:
    """A scene and the network that maps it.

    Parameters
    ----------
    scene : SceneInputs
        The rasters.
    model : str
        Id of an installed model, or a path to a package.
    """

    scene: SceneInputs
    model: str


@dataclass(frozen=True)
class RasterJob(SceneJob):
    """One raster made of a scene.

    Parameters
    ----------
    output : str
        Raster to write.
    """

    output: str


@dataclass(frozen=True)
class HeadChoice:
    """Which output of the network, and where it is computed.

    Parameters
    ----------
    head : str
        The network's head; its first one where empty.
    compute : Compute
        Where and how.
    """

    head: str = ""
    compute: Compute = field(default_factory=Compute)


@dataclass(frozen=True)
class ClassChoice(HeadChoice):
    """Which logit is explained.

    Parameters
    ----------
    class_name : str
        The class explained; ``predicted`` is at each pixel the class mapped there.
    reference_class : str
        Explain `class_name` rather than this one; empty for none.
    """

    class_name: str = PREDICTED
    reference_class: str = ""

    def target(self, region: RegionMask | None = None, component: str = "") -> Target:
        """Return what is explained, of `region` or of everything valid, through `component` or all of them."""
        from ...core.target.target import Target

        return Target(self.head, self.class_name, self.reference_class, region, component)


@dataclass(frozen=True)
class ReportPaths:
    """Where the report goes.

    Parameters
    ----------
    report, report_json, report_csv : str, optional
        The report, and its content for programs.
    """

    report: str | None = None
    report_json: str | None = None
    report_csv: str | None = None

    def written(self, **others: str | None) -> dict[str, object]:
        """Return what was written, by the published names: `others`, then the report."""
        paths: Mapping[str, str | None] = {
            **others,
            "REPORT": self.report,
            "REPORT_JSON": self.report_json,
            "REPORT_CSV": self.report_csv,
        }
        return {name: path for name, path in paths.items() if path}
