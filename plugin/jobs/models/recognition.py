"""What a file of weights is found to be: its format leads to a reader, its names and shapes to a family."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ...ground.errors import ModelError
from ...networks.files import short_path

if TYPE_CHECKING:
    from ...networks.families.proposal import Given, Proposal


def propose(path: str, given: Given) -> Proposal:
    """Return what a file is found to be.

    Raises
    ------
    FloeLensError
        If it is of no known format or family, or cannot be used.
    """
    from ...io.models.keras import is_hdf5, read_keras
    from ...io.models.tensorflow.bundle import index_of
    from ...networks.families.asip import propose_asip
    from ...networks.families.checkpoint import read_checkpoint
    from ...networks.families.exported_program import is_exported_program, read_exported_program
    from ...networks.families.unet_proposal import propose_unet

    index = index_of(path)
    if index is not None:
        return _propose_saved_model(path, index, given)
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
    read = read_exported_program if is_exported_program(path) else read_checkpoint
    return propose_unet(read(path), given)


def _propose_saved_model(path: str, index: Path, given: Given) -> Proposal:
    """Return what the variables of a SavedModel are found to be."""
    from ...io.models.tensorflow.bundle import read_saved_model
    from ...networks.families.asip import propose_asip

    if given.family not in ("auto", "asip"):
        raise ModelError(
            f"FAMILY={given.family}, but {short_path(path)} is a SavedModel of TensorFlow, of which the ASIP networks "
            "are read. Set FAMILY=asip or auto, or export other networks as ONNX."
        )
    proposal = propose_asip(read_saved_model(index), {}, given)
    proposal.findings.assumed.append(
        "Branches of a SavedModel stand in the order in which Keras counts the layers, as in the family's code."
    )
    return proposal


def _propose_onnx(path: str, given: Given) -> Proposal:
    """Return what an ONNX file is found to be; it is turned twice where some of its channels are coarse."""
    from ...io.models.onnx.convert import read_onnx
    from ...networks.families.graph_proposal import inputs_of, propose_graph
    from ...networks.families.proposal import Findings

    findings = Findings()
    network = read_onnx(path)
    inputs = inputs_of(network.spec.fine + network.spec.coarse, "onnx", given, findings)
    if inputs.coarse and not network.spec.coarse:
        network = read_onnx(path, inputs.coarse, inputs.ratio)
    findings.found += network.notes
    return propose_graph("onnx", network.spec, network.weights, inputs, given, findings)


def _propose_nersc(path: str, given: Given) -> Proposal:
    """Return what the arrays of NERSC's ice-type network are found to be."""
    from ...networks.families.arrays import read_arrays
    from ...networks.families.graph_proposal import inputs_of, propose_graph
    from ...networks.families.proposal import Findings
    from ...networks.families.published import NERSC_TYPES
    from ...networks.graph.nersc import nersc_graph

    findings = Findings()
    graph, weights = nersc_graph(read_arrays(path))
    inputs = inputs_of(graph.fine + graph.coarse, "nersc", given, findings)
    return propose_graph("nersc", graph, weights, inputs, given, findings, (NERSC_TYPES,))
