"""A network of somebody else's as a model package: recognised, described by a card, tested and written.

A zip that *Export model* wrote is a package already: it is checked, tested and put in place. Nothing of a file runs:
PyTorch files are read with ``weights_only``, Keras files by GDAL's reader of HDF5 after a check of their structure.
With `check_only` nothing is written but the report: it lists what was found, what is assumed and what is still needed.
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
from ..ground.vocabulary.settings import MODEL_OVERLAP, MODEL_PIXEL_SIZE, MODEL_RATIO, MODEL_WINDOW
from ..ground.vocabulary.words import CONCATENATIONS, MODEL_FAMILIES, PADDINGS, UPSAMPLINGS, default_word
from ..networks import registry
from ..networks.card import ModelCard
from ..networks.files import is_file, listed, short_path
from .models.cards import fields_beside, fields_by_hand
from .models.installation import read_package
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
        File of weights: a PyTorch state dict or checkpoint, a Keras HDF5 file, an ONNX file or a NumPy archive; or a
        zip of a model package.
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
    window, overlap : int
        Side and least overlap of windows, in pixels, for a network whose output depends on the whole image.
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
    window: int = MODEL_WINDOW.default
    overlap: int = MODEL_OVERLAP.default
    order: str = default_word(CONCATENATIONS)
    padding: str = default_word(PADDINGS)
    upsampling: str = default_word(UPSAMPLINGS)
    check_only: bool = False
    output: str = ""
    report: str = ""

    def run(self, progress: Progress) -> dict[str, object]:
        """Recognise the file, test the network and write the package."""
        from ..core.streaming.runner import host_tensors
        from ..io.models.archive import is_archive
        from ..networks.weights import to_bytes

        if not Path(self.input).is_dir() and is_archive(self.input):  # a SavedModel is a folder
            return self._install(progress)
        with host_tensors():
            progress.report(0.05, "Reading the file")
            proposal = self.proposed()
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
            self._check_replaced(folder, hashlib.sha256(to_bytes(module)).hexdigest())
            rows = warn_of_failures(checks, progress)
            self._save(folder, card, module, proposal, rows, progress)
        return self._results(proposal, checks, str(folder))

    def proposed(self) -> Proposal:
        """Return what the file is found to be; nothing is written, and the network is not run.

        Raises
        ------
        FloeLensError
            If it is of no known format or family, or what is given contradicts it.
        """
        given, sentence = self._given()
        proposal = propose(self.input, given)
        if sentence:
            proposal.findings.found.append(sentence)
        return proposal

    def _given(self) -> tuple[Given, str]:
        """Return what parameters, a card by hand and a STAC item beside the file say; and a sentence on the item."""
        from ..networks.families.proposal import Given

        by_parameter = {
            "channels": bool(self.channels.strip()),
            "pixel_size_m": bool(self.pixel_size),
            "title": bool(self.name.strip()),
            "licence": bool(self.licence.strip()),
        }
        beside, sentence = fields_beside(self.input, self.family, by_parameter)
        by_hand = fields_by_hand(self.card, self.family) if self.card else {}
        given = Given(
            family=self.family,
            name=self.name.strip(),
            channels=self.channels,
            pixel_size_m=self.pixel_size,
            ratio=self.ratio,
            window=self.window,
            overlap=self.overlap,
            order=self.order,
            padding=self.padding,
            upsampling=self.upsampling,
            licence=self.licence.strip(),
            card={**beside, **by_hand},
        )
        return given, sentence

    def _install(self, progress: Progress) -> dict[str, object]:
        """Put the package in a zip in place."""
        from ..core.selftest.run import run_selftest
        from ..core.streaming.runner import host_tensors
        from ..io.transaction.packages import write_package
        from ..report.models.page import ModelFacts, import_sentences

        self._check_alone()
        progress.report(0.05, "Reading the package")
        with host_tensors():
            package = read_package(self.input, self.name.strip())
            for sentence in package.found:
                progress.message(sentence)
            card = package.card
            folder = None if self.check_only else self._folder(card)
            if folder is not None:
                self._check_replaced(folder, card.weights.sha256)
            checks = run_selftest(card, package.module, Part(progress, 0.2, 0.9))
            rows = warn_of_failures(checks, progress)
        found, assumed = import_sentences(card.to_dict())
        summary = (
            self._imported(card, folder)
            if folder
            else "The package is complete. Nothing was written (CHECK_ONLY)."
        )
        facts = ModelFacts((summary,), (), (*package.found, *found), assumed, rows)
        page = {os.path.abspath(self.report): self._page(card, facts).encode("utf-8")} if self.report else {}
        if folder is not None:
            self._make_user_folder(folder)
            write_package(folder, {**page, **package.files}, progress)
        elif self.report:
            self._write_report(card, facts, progress)
        numbers = sum(
            value.numel() for name, value in package.module.state_dict().items() if "num_batches" not in name
        )
        return {
            "FAMILY_FOUND": "package",
            "MODEL_ID": card.id,
            "FOUND": " ".join(package.found),
            "ASSUMED": " ".join(assumed),
            "NEEDED": "",
            "PARAMETERS": numbers,
            "TESTS_FAILED": sum(check.passed is False for check in checks),
            **({"OUTPUT": str(folder)} if folder else {}),
            **({"REPORT": self.report} if self.report else {}),
        }

    def _check_alone(self) -> None:
        """Refuse parameters that a package says itself."""
        plain = ImportModel(self.input)
        names = (
            "family",
            "card",
            "channels",
            "pixel_size",
            "ratio",
            "licence",
            "window",
            "overlap",
            "order",
            "padding",
            "upsampling",
        )
        given = [name.upper() for name in names if getattr(self, name) != getattr(plain, name)]
        if given:
            raise ModelError(
                f"{short_path(self.input)} is a model package, whose card says this already: leave {listed(given)} "
                "out. To change it, edit card.json in the model's folder."
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

    def _check_replaced(self, folder: Path, sha256: str) -> None:
        """Refuse to put other weights in place of a model where OUTPUT does not ask for it.

        Two networks of a family have one name unless NAME is given.
        """
        if self.output or not is_file(folder / registry.CARD):
            return
        if registry.load_card(folder).weights.sha256 != sha256:
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
        from ..networks.stac import item_json
        from ..report.models.page import ModelFacts
        from ..report.models.readme import readme

        findings = proposal.findings
        facts = ModelFacts((self._imported(card, folder),), (), findings.found, findings.assumed, rows)

        def texts(written: ModelCard) -> dict[str, str]:
            page = {os.path.abspath(self.report): self._page(written, facts)} if self.report else {}
            return {
                **page,
                registry.README: readme(written, findings.assumed, rows),
                registry.ITEM: item_json(written),
            }

        self._make_user_folder(folder)
        save_package(folder, card, module, texts, progress)

    def _make_user_folder(self, folder: Path) -> None:
        """Make the folder for the models of this user where it is the one written to."""
        if not self.output:
            folder.parent.mkdir(parents=True, exist_ok=True)

    def _write_check(self, proposal: Proposal, progress: Progress) -> None:
        """Write the report of a dry run."""
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
        self._write_report(proposal.card, facts, progress)

    def _write_report(self, card: ModelCard | None, facts: ModelFacts, progress: Progress) -> None:
        from ..io.transaction.outputs import atomic_text

        with atomic_text(self.report, progress=progress) as file:
            file.write(self._page(card, facts))

    def _imported(self, card: ModelCard, folder: Path) -> str:
        return (
            f"The model '{card.id}' was imported into {folder}: give this folder, or the id where it is the user's "
            "model folder, as MODEL of the other tools."
        )

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
