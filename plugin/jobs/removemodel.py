"""An installed model that is no longer wanted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..ground.errors import ModelError, OutputError
from ..ground.protocols import Progress
from ..networks import registry
from ..networks.files import listed, short_path


@dataclass(frozen=True)
class RemoveModel:
    """Remove a model package from disk; models that came with the plugin stay.

    A run that uses the model goes on: it has read it to its end.

    Parameters
    ----------
    model : str
        Id of an installed model, or a path to a package.
    output : str
        Zip that is written before the model goes; empty for none.
    """

    model: str
    output: str = ""

    def run(self, progress: Progress) -> dict[str, object]:
        """Remove the package's own files, all or none, and its folder where nothing else is in it."""
        from ..io.transaction.packages import end_killed, remove_package
        from .exportmodel import ExportModel

        given = Path(self.model)
        beside = (given.parent, given) if given.parent != Path() else ()
        end_killed((*beside, registry.user_folder()), progress)  # a removal that was killed is ended first
        folder = registry.find(self.model)
        if Path(os.path.realpath(folder)).is_relative_to(registry.BUNDLED):
            raise ModelError(
                f"The model '{folder.name}' came with FloeLens and goes with it. Only models that were imported can be "
                "removed."
            )
        card = registry.load_card(folder)
        if self.output:
            ExportModel(str(folder), self.output).run(progress)
        try:
            kept = remove_package(folder, registry.package_names(folder, card), progress)
        except OutputError as error:
            raise OutputError(f"The model '{card.id}' is not removed. {error}") from None
        if kept:
            progress.warn(
                f"{short_path(folder)} stays, since it holds files that are no part of the model: {listed(kept, 4)}."
            )
        progress.message(f"The model '{card.id}' was removed from {short_path(folder)}.")
        results: dict[str, object] = {"MODEL_ID": card.id, "FOLDER": str(folder)}
        return {**results, "OUTPUT": self.output} if self.output else results
