"""What a model is: its card beside what can be measured and tested of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ground.protocols import Part, Progress
from ..networks.card_checks import WHOLE_IMAGE


@dataclass(frozen=True)
class InspectModel:
    """Write a page about a model.

    Parameters
    ----------
    model : str
        Id of an installed model, or a path to a package.
    output : str
        HTML page to write.
    """

    model: str
    output: str

    def run(self, progress: Progress) -> dict[str, object]:
        """Measure and test the network, write the page, and warn where the card states too little."""
        from ..core.selftest.run import run_selftest
        from ..core.streaming.runner import host_tensors
        from ..io.transaction.outputs import atomic_text
        from ..networks.measure import measure
        from ..networks.package import load
        from ..report.models.page import ModelFacts, import_sentences, model_html
        from .models.selftests import warn_of_failures

        progress.report(0.05, "Loading the model")
        with host_tensors():
            card, module = load(self.model)  # checks the weights against card and checksum
            progress.report(0.1, "Measuring the receptive field")
            measured = measure(card, module)
            checks = run_selftest(card, module, Part(progress, 0.3, 0.95), measured=measured)
        wrong = measured.mismatches(card)
        for sentence in wrong:
            progress.warn(sentence)
        for sentence in measured.unmeasured:
            progress.message(sentence)
        rows = warn_of_failures(checks, progress)
        field, step, unknown = measured.field, measured.alignment, "not measured"
        sides = f"{field.up}, {field.down}, {field.left}, {field.right}" if field else unknown
        numbers = {
            "receptive-field radius (pixels)": (
                _beside(field.radius, card.receptive_field_radius, wrong) if field else unknown
            ),
            "pixels read above, below, left and right of an output pixel": sides,
            "coarse cells read beyond a pixel's own": field.cells if field else unknown,
            "alignment (pixels)": _beside(step, card.alignment, wrong) if step else unknown,
            "parameters, batch-norm statistics included": measured.parameters,
            "trainable parameters": measured.trainable,
        }
        found, assumed = import_sentences(card.to_dict())
        facts = ModelFacts(
            found=found, assumed=assumed, checks=rows, measured=numbers, unmeasured=measured.unmeasured
        )
        with atomic_text(self.output, progress=progress) as file:
            file.write(model_html(card, facts))
        return {
            "OUTPUT": self.output,
            "MODEL_ID": card.id,
            "RECEPTIVE_FIELD_RADIUS": field.radius if field else None,
            "ALIGNMENT": measured.alignment,
            "PARAMETERS": measured.parameters,
            "TESTS_FAILED": sum(check.passed is False for check in checks),
        }


def _beside(measured: int, stated: int, wrong: Sequence[str]) -> object:
    """Return a measured number beside the card's; as a text where the card's is another one and holds as well."""
    if wrong or measured == stated:
        return measured, stated
    return f"{measured} (the card allows for {'the whole image' if stated >= WHOLE_IMAGE else stated})"
