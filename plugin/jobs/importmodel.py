"""A network of somebody else's as a model package: recognised, described by a card, tested and written.

Nothing of the file runs: PyTorch files are read with ``weights_only``, Keras files by GDAL's reader of HDF5 after a
check of their structure. With `check_only` nothing is written but the report: it lists what was found, what is assumed
and what is still needed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ground.errors import ModelError
from ..ground.protocols import Part, Progress
from ..ground.vocabulary.settings import MODEL_PIXEL_SIZE, MODEL_RATIO
from ..ground.vocabulary.words import CONCATENATIONS, MODEL_FAMILIES, PADDINGS, UPSAMPLINGS, default_word
from ..networks import registry
from ..networks.card import ModelCard
from ..networks.card_json import read_some
from ..networks.files import is_file, read_json, short_path
from .models.recognition import propose
from .models.selftests import tested, warn_of_failures

if TYPE_CHECKING:
    from ..core.selftest.run import Check
    from ..networks.families.proposal import Given, Proposal
    from ..report.models.page import ModelFacts


@dataclass(frozen=True)
class ImportModel:
    """Make a model package of a trained network.

    Parameters
    ----------
    input : str
        File of weights: a PyTorch state dict or checkpoint, a Keras HDF5 file, an ONNX file or a NumPy archive.
    family : str
        A word of ``MODEL_FAMILIES``.
    card : str
        JSON file with fields of a model card; empty for none.
    channels : str
        Names of the inputs in the network's order; empty: those of the card or the family.
    name : str
        Title; the id is made of it.
    pixel_size : float
        In metres; 0: that of the card or the family.
    ratio : int
        Fine pixels along a coarse cell; 0: as many as 2 km have.
    licence : str
        Of the weights.
    order, padding, upsampling : str
        What tensors of a U-Net do not tell.
    check_only : bool
        Whether nothing is written but the report.
    output : str
        Folder of the package; empty: the user's model folder, under the model's id.
    report : str
        HTML page; empty for none.
    """

    input: str
    family: str = default_word(MODEL_FAMILIES)
    card: str = ""
    channels: str = ""
    name: str = ""
    pixel_size: float = MODEL_PIXEL_SIZE.default
    ratio: int = MODEL_RATIO.default
    licence: str = ""
    order: str = default_word(CONCATENATIONS)
    padding: str = default_word(PADDINGS)
    upsampling: str = default_word(UPSAMPLINGS)
    check_only: bool = False
    output: str = ""
    report: str = ""

    def run(self, progress: Progress) -> dict[str, object]:
        """Recognise the file, test the network and write the package."""
        from ..core.streaming.runner import host_tensors

        with host_tensors():
            progress.report(0.05, "Reading the file")
            proposal = propose(self.input, self._given())
            for sentence in (*proposal.findings.found, *proposal.findings.assumed):
                progress.message(sentence)
            if self.check_only:
                for sentence in proposal.findings.needed:
                    progress.warn(f"Still needed: {sentence}")
                self._write_check(proposal, progress)
                return self._results(proposal, (), "")
            card = proposal.complete()
            folder = self._folder(card)
            progress.report(0.2, "Testing the network")
            module, checks = tested(proposal, card, Part(progress, 0.2, 0.9))
            self._check_replaced(folder, module)
            rows = warn_of_failures(checks, progress)
            self._save(folder, card, module, proposal, rows, progress)
        return self._results(proposal, checks, str(folder))

    def _given(self) -> Given:
        """Return what the parameters say."""
        from ..networks.families.proposal import Given
        from ..networks.families.unet_proposal import check_by_hand

        fields: Mapping[str, Any] = {}
        if self.card:
            named = short_path(self.card)
            try:
                content = read_json(self.card)
            except FileNotFoundError:
                raise ModelError(f"There is no card {named}. Check CARD, or leave it empty.") from None
            if not isinstance(content, Mapping):
                raise ModelError(f"The card {named} is no JSON object with named fields.")
            made = check_by_hand(content)
            if made:
                raise ModelError(
                    f"The card {named} gives '{made}', which the import measures or makes itself. Remove the field."
                )
            fields = read_some(ModelCard, content, named)
        return Given(
            family=self.family,
            name=self.name.strip(),
            channels=self.channels,
            pixel_size_m=self.pixel_size,
            ratio=self.ratio,
            order=self.order,
            padding=self.padding,
            upsampling=self.upsampling,
            licence=self.licence.strip(),
            card=fields,
        )

    def _folder(self, card: ModelCard) -> Path:
        """Return where the package goes.

        Raises
        ------
        ModelError
            If another package is there, a model of this id is installed elsewhere, or the folder is the plugin's own.
        """
        folder = Path(self.output) if self.output else registry.user_folder() / card.id
        if Path(os.path.realpath(folder)).is_relative_to(registry.BUNDLED):
            raise ModelError(
                f"The folder {short_path(folder)} is the plugin's own, which is deleted when the plugin is updated. "
                "Choose another one, or leave OUTPUT empty for the user's model folder."
            )
        installed = registry.installed().get(card.id)
        if installed is not None and os.path.realpath(installed) != os.path.realpath(folder):
            raise ModelError(
                f"A model '{card.id}' is installed already, in {short_path(installed)}. Give another NAME, or OUTPUT = "
                "that folder to replace it."
            )
        there = registry.load_card(folder).id if is_file(folder / registry.CARD) else card.id
        if there != card.id:
            raise ModelError(
                f"The folder {short_path(folder)} holds the model '{there}'. Choose another folder."
            )
        return folder

    def _check_replaced(self, folder: Path, module: Any) -> None:
        """Refuse to put other weights in place of a model where OUTPUT does not ask for it.

        Two networks of a family have one name unless NAME is given.
        """
        from ..networks.weights import to_bytes

        if self.output or not is_file(folder / registry.CARD):
            return
        if registry.load_card(folder).weights.sha256 != hashlib.sha256(to_bytes(module)).hexdigest():
            raise ModelError(
                f"A model '{folder.name}' of other weights is installed already, in {short_path(folder)}. Give another "
                "NAME, or OUTPUT = that folder to replace it."
            )

    def _save(
        self,
        folder: Path,
        card: ModelCard,
        module: Any,
        proposal: Proposal,
        rows: Sequence[Mapping[str, Any]],
        progress: Progress,
    ) -> None:
        """Write package and report together: both are there, or none."""
        from ..io.transaction.packages import save_package
        from ..report.models.page import ModelFacts
        from ..report.models.readme import readme

        if not self.output:
            folder.parent.mkdir(parents=True, exist_ok=True)
        imported = (
            f"The model '{card.id}' was imported into {folder}: give this folder, or the id where it is the user's "
            "model folder, as MODEL of the other tools."
        )
        findings = proposal.findings
        facts = ModelFacts((imported,), (), findings.found, findings.assumed, rows)

        def texts(written: ModelCard) -> dict[str, str]:
            page = {os.path.abspath(self.report): self._page(written, facts)} if self.report else {}
            return {**page, "README.md": readme(written, findings.assumed, rows)}

        save_package(folder, card, module, texts, progress)

    def _write_check(self, proposal: Proposal, progress: Progress) -> None:
        """Write the report of a dry run."""
        from ..io.transaction.outputs import atomic_text
        from ..report.models.page import ModelFacts

        if not self.report:
            return
        findings = proposal.findings
        summary = (
            f"The network was recognised. Still needed: {len(findings.needed)}, listed below; nothing was written."
            if findings.needed
            else "The network was recognised, and nothing more is needed. Nothing was written (CHECK_ONLY)."
        )
        facts = ModelFacts((summary,), findings.needed, findings.found, findings.assumed)
        with atomic_text(self.report, progress=progress) as file:
            file.write(self._page(proposal.card, facts))

    def _page(self, card: ModelCard | None, facts: ModelFacts) -> str:
        from ..report.models.page import model_html

        return model_html(card.to_dict() if card else {}, facts, f"import of {Path(self.input).name}")

    def _results(self, proposal: Proposal, checks: tuple[Check, ...], folder: str) -> dict[str, object]:
        """Return the outputs."""
        findings = proposal.findings
        results: dict[str, object] = {
            "FAMILY_FOUND": proposal.family,
            "MODEL_ID": proposal.card.id if proposal.card else "",
            "FOUND": " ".join(findings.found),
            "ASSUMED": " ".join(findings.assumed),
            "NEEDED": " ".join(findings.needed),
            "PARAMETERS": proposal.file_parameters,
            "TESTS_FAILED": sum(check.passed is False for check in checks),
        }
        if folder:
            results["OUTPUT"] = folder
        if self.report:
            results["REPORT"] = self.report
        return results
