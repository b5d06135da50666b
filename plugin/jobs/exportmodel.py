"""A model as one file, to be sent to somebody else, who gives it to *Import model*."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..ground.errors import ModelError, ParameterError
from ..ground.protocols import Progress
from ..networks import registry
from ..networks.card import ModelCard
from ..networks.files import MOST_JSON_BYTES, read_regular, short_path


@dataclass(frozen=True)
class ExportModel:
    """Write a model package into a zip.

    Parameters
    ----------
    model : str
        Id of an installed model, or a path to a package.
    output : str
        Zip to write.
    """

    model: str
    output: str

    def run(self, progress: Progress) -> dict[str, object]:
        """Check the package and write the zip."""
        from ..io.models.archive import archive_bytes
        from ..io.transaction.outputs import atomic_path
        from ..networks.package import build
        from ..networks.stac import item_json
        from ..networks.weights import fill, most_bytes, tensors_of

        if Path(self.output).suffix.lower() != ".zip":
            raise ParameterError(f"OUTPUT {short_path(self.output)} is no .zip file. Give it this ending.")
        folder = registry.find(self.model)
        card = ModelCard.from_json(folder / registry.CARD)
        progress.report(0.2, "Checking the package")
        module = build(card)
        contents = {registry.ITEM: item_json(card).encode("utf-8")}
        for name in registry.package_names(folder, card):
            most = most_bytes(module) if name == card.weights.file else MOST_JSON_BYTES
            contents[name] = read_regular(folder / name, most)
        if card.weights.file not in contents:
            raise ModelError(
                f"The weights {short_path(folder / card.weights.file)} of the model '{card.id}' are missing. Import or "
                "download it again."
            )
        fill(module, tensors_of(card, contents[card.weights.file], card.weights.file), card)
        progress.report(0.6, "Writing the zip")
        with atomic_path(self.output, progress) as temporary:
            temporary.write_bytes(archive_bytes(card.id, contents))
        return {
            "OUTPUT": self.output,
            "MODEL_ID": card.id,
            "LICENCE": card.licence,
            "BYTES": Path(self.output).stat().st_size,
        }
