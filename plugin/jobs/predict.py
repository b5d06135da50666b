"""The network's map of a scene: concentration or classes, probabilities, and how sure it is."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from ...models.card import Head
from ..core.errors import ParameterError, SceneError
from ..core.protocols import Progress
from .inputs import Compute, SceneInputs
from .provenance import provenance

CLASS_NODATA = 255


@dataclass(frozen=True)
class Predict:
    """Map a scene with a network.

    Parameters
    ----------
    scene : SceneInputs
        The rasters.
    model : str
        Id of an installed model, or a path to a package.
    output : str
        Raster to write: concentration in % (sigmoid, linear) or class codes (softmax).
    head : str
        Name of the network's head; its first one where empty.
    probabilities : str, optional
        Raster of one probability (0 to 1) a class.
    uncertainty : str, optional
        Raster of the entropy of the probabilities, in bits.
    compute : Compute
        Where and how.
    """

    scene: SceneInputs
    model: str
    output: str
    head: str = ""
    probabilities: str | None = None
    uncertainty: str | None = None
    compute: Compute = Compute()

    def run(self, progress: Progress) -> dict[str, object]:
        """Write the rasters and return their paths under their published names."""
        from ..core.engine import stream_predictions
        from ..core.tiling import plan_tiles
        from ..io.writer import Band, Outputs

        runner = self.compute.runner(self.model)
        card = runner.card
        head = card.head(self.head)
        if head.kind == "linear" and (self.probabilities or self.uncertainty):
            raise ParameterError(
                f"The head '{head.name}' of '{card.id}' is linear and gives no probabilities: "
                "leave PROBABILITIES and UNCERTAINTY empty."
            )
        names = [c.name for c in head.classes]
        valid_pixels = 0
        with self.scene.open(card, progress) as scene, ExitStack() as stack:
            outputs = stack.enter_context(Outputs())
            grid = scene.grid.subset(scene.region)
            tags = provenance(card, self.scene, scene, self.compute, product="prediction", head=head.name)
            if head.kind == "softmax":
                main = outputs.raster(
                    self.output,
                    grid,
                    [Band(head.name, "class")],
                    dtype="uint8",
                    nodata=CLASS_NODATA,
                    tags=tags,
                    colours={c.value: c.rgb for c in head.classes},
                    categories={c.value: c.name for c in head.classes},
                    overviews="nearest",
                )
            else:
                main = outputs.raster(self.output, grid, [Band(head.name, head.unit)], tags=tags)
            probabilities = uncertainty = None
            if self.probabilities:
                bands = [Band(f"P({name})", "1") for name in names]
                probabilities = outputs.raster(self.probabilities, grid, bands, tags=tags)
            if self.uncertainty:
                uncertainty = outputs.raster(self.uncertainty, grid, [Band("entropy", "bit")], tags=tags)

            plan = plan_tiles(runner, scene, self.compute.memory_mib, purpose="predict")
            for strip in stream_predictions(runner, scene, scene.region, plan, progress):
                valid_pixels += int(strip.valid.sum())
                p = class_probabilities(strip.logits[card.head_slice(head.name)], head)
                main.write(mapped_values(p, strip.valid, head)[None])
                if probabilities is not None:
                    probabilities.write(np.where(strip.valid, p, np.nan).astype(np.float32))
                if uncertainty is not None:
                    uncertainty.write(np.where(strip.valid, entropy(p, head), np.nan).astype(np.float32)[None])
            if not valid_pixels:
                raise no_valid_pixel(self.scene)
        results: dict[str, object] = {
            "OUTPUT": self.output,
            "MODEL_ID": card.id,
            "HEAD": head.name,
            "SCENE_NAME": scene.name,
            "START_TIME": scene.start_time or "",
            "VALID_PIXELS": valid_pixels,
        }
        if self.probabilities:
            results["PROBABILITIES"] = self.probabilities
        if self.uncertainty:
            results["UNCERTAINTY"] = self.uncertainty
        return results


def no_valid_pixel(inputs: SceneInputs) -> SceneError:
    """Return the error of a scene, or part of one, in which nothing can be mapped."""
    where = "the given extent of " if inputs.extent else ""
    return SceneError(
        f"No pixel of {where}{inputs.sar} can be mapped: everywhere a channel has no data or LAND covers it. "
        "Check the rasters' nodata values, LAND and EXTENT."
    )


def class_probabilities(logits: np.ndarray, head: Head) -> np.ndarray:
    """Return what the head's activation makes of its logits.

    Parameters
    ----------
    logits : numpy.ndarray
        (output, row, column).
    head : Head
        Its kind decides: sigmoid, softmax, or linear (unchanged).

    Returns
    -------
    numpy.ndarray
        (output, row, column), the type of `logits`.
    """
    if head.kind == "linear":
        return logits
    if head.kind == "sigmoid":
        # Two branches, since exp overflows for large negative logits in the textbook form.
        e = np.exp(-np.abs(logits))
        return np.where(logits >= 0, 1 / (1 + e), e / (1 + e))
    e = np.exp(logits - logits.max(axis=0, keepdims=True))
    return e / e.sum(axis=0, keepdims=True)


def mapped_values(p: np.ndarray, valid: np.ndarray, head: Head) -> np.ndarray:
    """Return the map of probabilities `p` (output, row, column): percent, value, or class code."""
    if head.kind == "softmax":
        codes = np.array([c.value for c in head.classes], dtype=np.uint8)
        return np.where(valid, codes[p.argmax(axis=0)], np.uint8(CLASS_NODATA))
    scale = 100.0 if head.unit == "%" and head.kind == "sigmoid" else 1.0
    return np.where(valid, p[0] * np.float32(scale), np.float32(np.nan)).astype(np.float32)


def entropy(p: np.ndarray, head: Head) -> np.ndarray:
    """Return the entropy of probabilities `p` (output, row, column), in bits."""
    q = np.concatenate([p, 1 - p]) if head.kind == "sigmoid" else p
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(q > 0, -q * np.log2(q), 0.0)
    return terms.sum(axis=0)

