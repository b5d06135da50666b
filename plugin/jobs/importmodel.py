"""A network of somebody else's as a model package: recognised, described by a card, tested and written.

Nothing of the file runs: PyTorch files are read with ``weights_only``, Keras files by GDAL's reader of HDF5 after a
check of their structure. With `check_only` nothing is written but the report: it lists what was found, what is assumed
and what is still needed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..ground.errors import ModelError
from ..ground.protocols import Part, Progress
from ..ground.vocabulary.settings import MODEL_PIXEL_SIZE, MODEL_RATIO
from ..ground.vocabulary.words import CONCATENATIONS, MODEL_FAMILIES, PADDINGS, UPSAMPLINGS, default_word
from ..io.transaction.outputs import atomic_text
from ..networks import registry
from ..networks.card import ModelCard
from ..networks.card_json import read_some
from ..networks.files import is_file, read_json, short_path

if TYPE_CHECKING:
    from ..core.selftest.run import Check
    from ..networks.families.proposal import Given, Proposal


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
                return self._results(proposal, (), "", progress)
            card = proposal.complete()
            folder = self._folder(card)
            progress.report(0.2, "Testing the network")
            module, checks = tested(proposal, card, Part(progress, 0.2, 0.9))
            self._check_replaced(folder, module)
            for check in checks:
                if check.passed is False:
                    progress.warn(f"Self-test, {check.name}: {check.found}. {check.note}".strip())
            self._save(folder, card, module, proposal, checks, progress)
        return self._results(proposal, checks, str(folder), progress)

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
        checks: tuple[Check, ...],
        progress: Progress,
    ) -> None:
        from ..io.transaction.packages import save_package
        from ..report.models.readme import readme

        if not self.output:
            folder.parent.mkdir(parents=True, exist_ok=True)
        values = [check_values(check) for check in checks]
        save_package(
            folder,
            card,
            module,
            lambda written: {"README.md": readme(written, proposal.findings.assumed, values)},
            progress,
        )

    def _results(
        self, proposal: Proposal, checks: tuple[Check, ...], folder: str, progress: Progress
    ) -> dict[str, object]:
        """Write the report and return the outputs."""
        from ..report.models.page import import_html

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
            page = import_html(
                Path(self.input).name,
                proposal.card.to_dict() if proposal.card else {},
                {"found": findings.found, "assumed": findings.assumed, "needed": findings.needed},
                [check_values(check) for check in checks],
                folder,
            )
            with atomic_text(self.report, progress=progress) as file:
                file.write(page)
            results["REPORT"] = self.report
        return results


def propose(path: str, given: Given) -> Proposal:
    """Return what a file is found to be.

    Raises
    ------
    FloeLensError
        If it is of no known format or family, or cannot be used.
    """
    from ..io.models.keras import is_hdf5, read_keras
    from ..networks.families.asip import propose_asip
    from ..networks.families.checkpoint import read_checkpoint
    from ..networks.families.unet_proposal import propose_unet

    if is_hdf5(path):
        if given.family not in ("auto", "asip"):
            raise ModelError(
                f"FAMILY={given.family}, but {short_path(path)} is a Keras file. Set FAMILY=asip or auto."
            )
        file = read_keras(path)
        return propose_asip(file.layers, file.config, given)
    if given.family == "onnx" or (given.family == "auto" and Path(path).suffix.lower() == ".onnx"):
        return _propose_onnx(path, given)
    if given.family == "nersc" or (given.family == "auto" and Path(path).suffix.lower() == ".npz"):
        return _propose_nersc(path, given)
    if given.family == "asip":
        raise ModelError(f"FAMILY=asip, but {short_path(path)} is no HDF5 file as Keras writes it.")
    return propose_unet(read_checkpoint(path), given)


def _propose_onnx(path: str, given: Given) -> Proposal:
    """Return what an ONNX file is found to be; it is turned twice where some of its channels are coarse."""
    from ..io.models.onnx.convert import read_onnx
    from ..networks.families.graph_proposal import inputs_of, propose_graph
    from ..networks.families.proposal import Findings

    findings = Findings()
    network = read_onnx(path)
    inputs = inputs_of(network.spec.fine + network.spec.coarse, "onnx", given, findings)
    if inputs.coarse and not network.spec.coarse:
        network = read_onnx(path, inputs.coarse, inputs.ratio)
    findings.found += network.notes
    return propose_graph("onnx", network.spec, network.weights, inputs, given, findings)


def _propose_nersc(path: str, given: Given) -> Proposal:
    """Return what the arrays of NERSC's ice-type network are found to be."""
    from ..networks.families.arrays import read_arrays
    from ..networks.families.graph_proposal import inputs_of, propose_graph
    from ..networks.families.proposal import Findings
    from ..networks.families.published import NERSC_TYPES
    from ..networks.graph.nersc import nersc_graph

    findings = Findings()
    graph, weights = nersc_graph(read_arrays(path))
    inputs = inputs_of(graph.fine + graph.coarse, "nersc", given, findings)
    return propose_graph("nersc", graph, weights, inputs, given, findings, (NERSC_TYPES,))


def tested(proposal: Proposal, card: ModelCard, progress: Progress) -> tuple[Any, tuple[Check, ...]]:
    """Return the network of a proposal with its weights, and what was tested of it."""
    from ..core.selftest.run import run_selftest
    from ..networks.package import build
    from ..networks.weights import fill

    module = build(card)
    fill(module, proposal.weights, card)
    module.eval().requires_grad_(False)
    return module, run_selftest(card, module, progress, proposal.file_parameters)


def check_values(check: Check) -> dict[str, Any]:
    """Return a test as the values of a row."""
    result = {True: "passed", False: "FAILED", None: "not tested"}[check.passed]
    return {"test": check.name, "found": check.found, "result": result, "note": check.note}
