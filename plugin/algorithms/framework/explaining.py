"""What relevance, contributions and ablation share: the class they explain, and facts of the run."""

from __future__ import annotations

from qgis.core import QgsProcessingOutputNumber, QgsProcessingOutputString

from ...ground.vocabulary.words import PREDICTED
from . import declare
from .base import Destinations
from .scene import SceneAlgorithm, in_list


class ExplainingAlgorithm(SceneAlgorithm):
    """Base of the algorithms that explain the logit of a class."""

    def declare_class(self) -> None:
        """Add which class is explained, and against which."""
        self.addParameter(
            in_list(
                declare.text(
                    "CLASS",
                    "Class to explain",
                    "Name of a class of the head, or 'predicted': at each pixel the class that the network predicts. "
                    "Names joined by + are a group, the mean of whose logits is explained.",
                    default=PREDICTED,
                ),
                "classes",
            )
        )
        self.addParameter(
            in_list(
                declare.text(
                    "REFERENCE_CLASS",
                    "Against class",
                    "Explain CLASS rather than this one (difference of logits); CLASS alone where empty.",
                ),
                "reference",
            )
        )

    def declare_head(self) -> None:
        """Add which output of the network is meant; most have one."""
        self.addParameter(
            in_list(
                declare.text(
                    "HEAD", "Head", "Which output of the network; its first one where empty.", advanced=True
                ),
                "heads",
            )
        )

    def declare_component(self) -> None:
        """Add through which component of the last layer the class is explained."""
        self.addParameter(
            in_list(
                declare.text(
                    "COMPONENT",
                    "Component to explain",
                    "Name of a component (a feature map that the last layer weighs), as the table of zscores lists it, "
                    "such as d2_05: what it adds to the logit of CLASS is explained. The whole logit where empty.",
                    advanced=True,
                ),
                "components",
            )
        )

    def declare_facts(self, texts: dict[str, str], numbers: dict[str, str]) -> None:
        """Add outputs that say what was done: those all share, then `texts` and `numbers` (name: label)."""
        shared = {
            "MODEL_ID": "Id of the model",
            "SCENE_NAME": "Name of the scene",
            "START_TIME": "Start of the scene, where its file tells",
            "CLASS_NAME": "What was explained",
        }
        for name, label in {**shared, **texts}.items():
            self.addOutput(QgsProcessingOutputString(name, label))
        for name, label in numbers.items():
            self.addOutput(QgsProcessingOutputNumber(name, label))

    def explained(self, values: Destinations) -> dict:
        """Return scene, network and class, by the names of the jobs."""
        return {
            "scene": self.scene(values),
            "model": values.text("MODEL"),
            "compute": self.compute(values),
            "head": values.text("HEAD"),
            "class_name": values.text("CLASS"),
            "reference_class": values.text("REFERENCE_CLASS"),
        }
