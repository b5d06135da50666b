"""What a model is: its card beside what can be measured of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..ground.protocols import Progress


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
        """Measure the network, write the page, and warn where the card states too little."""
        from ..core.streaming.runner import host_tensors
        from ..io.rasters.writer import atomic_text
        from ..networks.measure import measure
        from ..networks.package import load
        from ..report.page.pages import inspect_model_html

        progress.report(0.1, "Loading the model")
        with host_tensors():
            card, module = load(self.model)  # checks the weights against card and checksum
            progress.report(0.3, "Measuring the receptive field")
            measured = measure(card, module)
        for sentence in measured.mismatches(card):
            progress.warn(sentence)
        for sentence in measured.unmeasured:
            progress.message(sentence)
        field, step, unknown = measured.field, measured.alignment, "not measured"
        sides = f"{field.up}, {field.down}, {field.left}, {field.right}" if field else unknown
        numbers = {
            "receptive-field radius (pixels)": (
                (field.radius, card.receptive_field_radius) if field else unknown
            ),
            "pixels read above, below, left and right of an output pixel": sides,
            "coarse cells read beyond a pixel's own": field.cells if field else unknown,
            "alignment (pixels)": (step, card.alignment) if step else unknown,
            "parameters, batch-norm statistics included": measured.parameters,
            "trainable parameters": measured.trainable,
        }
        with atomic_text(self.output, progress=progress) as file:
            file.write(inspect_model_html(card, numbers, measured.unmeasured))
        return {
            "OUTPUT": self.output,
            "MODEL_ID": card.id,
            "RECEPTIVE_FIELD_RADIUS": field.radius if field else None,
            "ALIGNMENT": measured.alignment,
            "PARAMETERS": measured.parameters,
        }
