"""Where a result came from, as the tags of its files and the last section of its report.

Nothing here depends on the clock or the machine's paths: the same parameters give the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from ...ground.version import plugin_version
from ...io.scene.reader import Scene
from ...networks.card import ModelCard
from ...report.page.model_facts import ModelFacts
from .inputs import SceneInputs


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that shape a result."""
    import numpy
    import rasterio
    import torch

    return {
        "floelens": plugin_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "rasterio": rasterio.__version__,
        "gdal": rasterio.__gdal_version__,
    }


def provenance(
    card: ModelCard, inputs: SceneInputs, scene: Scene, precision: str, **parameters: object
) -> dict[str, str]:
    """Return the tags of a result of `card` on `scene`.

    Parameters
    ----------
    card : ModelCard
        The network's card.
    inputs : SceneInputs
        What was read; file names are kept, folders are not.
    scene : Scene
        The scene, for its name and time.
    precision : str
        Number format of the network's activations, the coarsest of a run; the device and the memory do not shape the
        result.
    **parameters
        What was asked for: method, target, steps. None and empty values are left out.
    """
    tags = {
        "FLOELENS_MODEL": card.id,
        "FLOELENS_WEIGHTS_SHA256": card.weights.sha256,
        "FLOELENS_SCENE": scene.name,
        "FLOELENS_SAR": Path(inputs.sar).name,
        "FLOELENS_PRECISION": precision,
        "FLOELENS_DEMONSTRATION_MODEL": "yes" if card.demonstration else "no",
    }
    if inputs.mwr:
        tags["FLOELENS_MWR"] = Path(inputs.mwr).name
    for key in ("start_time", "amsr2_delay_s"):
        if scene.tags.get(key):
            tags[key] = scene.tags[key]
    tags.update(
        {
            f"FLOELENS_{key.upper()}": str(value)
            for key, value in parameters.items()
            if value not in (None, "")
        }
    )
    tags.update(scene.check_tags())
    tags.update({f"FLOELENS_VERSION_{key.upper()}": value for key, value in library_versions().items()})
    return tags


def model_facts(card: ModelCard) -> ModelFacts:
    """Return what a report says about the model of a card."""
    return ModelFacts(card.id, card.title, card.demonstration, card.limits)
