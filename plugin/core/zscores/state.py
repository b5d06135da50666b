"""State files: the mergeable information of a model's heads in one file.

A state is a ``.npz`` archive of plain arrays and one JSON header (never a pickle). It grows with the
model, not with the number of pixels, and holds the weights it was made with: a state of another
model, of other weights or of another format is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np

from ...ground.damaged_arrays import DAMAGED
from ...ground.errors import ModelError, ParameterError
from ...networks.files import short_path, shown, shown_text
from .channels.evidence import ChannelEvidence
from .state_file import Prefixed, head_arrays, head_header, opened_archive, read_head
from .sums.information import Information, OutputLayer
from .sums.refit_sample import read_sample, sample_arrays
from .sums.row_sample import RowSample

FORMAT = "floelens-zscores-state"
FORMAT_VERSION = 4
READABLE = (3, 4)  # 3: without the pixels that a refit needs


@dataclass(frozen=True, eq=False)
class ScoreState:
    """Information of all heads of a model over the scenes seen so far.

    Parameters
    ----------
    model : str
        Id of the model.
    weights_sha256 : str
        Checksum of its weights.
    heads : tuple of Information
        One a head.
    scenes : tuple of str
        What tells the scenes apart, sorted: their names, each perhaps followed by ``|`` and its time and place, and
        by another and a checksum of values. A scene merged twice is there twice.
    channels : tuple of ChannelEvidence
        One a head, or none where no contributions were computed.
    software : str
        Name and version of the software that made it.
    samples : dict of str to RowSample
        By head, labelled pixels for a refit (:mod:`.refit_sample`); none for a head without labels, or one of
        whose states was made without.
    sampling : tuple of str
        How pixels of the scenes were chosen, in words, each way once; empty of states that do not say.
    """

    model: str
    weights_sha256: str
    heads: tuple[Information, ...]
    scenes: tuple[str, ...] = ()
    software: str = ""
    channels: tuple[ChannelEvidence, ...] = ()
    samples: Mapping[str, RowSample] = field(default_factory=dict)
    sampling: tuple[str, ...] = ()

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Names of the scenes; different scenes may have the same."""
        return tuple(scene.partition("|")[0] for scene in self.scenes)

    @property
    def repeated_scenes(self) -> tuple[str, ...]:
        """Names of the scenes that are in the state more than once."""
        marks = [_mark_of(scene, self.scenes) for scene in self.scenes]
        repeated = {scene for scene, mark in zip(self.scenes, marks) if marks.count(mark) > 1}
        return tuple(sorted({scene.partition("|")[0] for scene in repeated}))

    def merge(self, other: ScoreState) -> ScoreState:
        """Return the state of both, as if their scenes had been seen together.

        Raises
        ------
        ParameterError
            If the other state belongs to another model or to other weights.
        """
        if other.model != self.model:
            raise ParameterError(
                f"A state of model '{other.model}' cannot be merged with one of model '{self.model}'; "
                "give states of one model only."
            )
        if other.weights_sha256 != self.weights_sha256:
            raise ParameterError(
                f"A state of model '{self.model}' was made with other weights (checksum "
                f"{other.weights_sha256[:12]}…, not {self.weights_sha256[:12]}…); make it again with this version."
            )
        ours = {head.layer.head: head for head in self.heads}
        theirs = {head.layer.head: head for head in other.heads}
        if ours.keys() != theirs.keys():
            raise ParameterError(
                f"States of model '{self.model}' hold different heads: {', '.join(ours)} and {', '.join(theirs)}. "
                "Make both with the same heads."
            )
        return ScoreState(
            model=self.model,
            weights_sha256=self.weights_sha256,
            heads=tuple(head.merge(theirs[name]) for name, head in ours.items()),
            scenes=tuple(sorted(self.scenes + other.scenes)),
            software=self.software,
            channels=_merged_channels(self.channels, other.channels),
            samples=_merged_samples(self, other),
            sampling=tuple(sorted({*self.sampling, *other.sampling})),
        )

    def save(self, path: str | PathLike) -> None:
        """Write the state; the same state gives the same bytes. The caller sees to atomicity."""
        arrays: dict[str, np.ndarray] = {}
        heads = []
        for number, head in enumerate(self.heads):
            heads.append(head_header(head))
            arrays.update(head_arrays(head, f"head{number}/"))
        for number, evidence in enumerate(self.channels):
            for name, values in evidence.arrays().items():
                arrays[f"channels{number}/{name}"] = values
        samples = {}
        for number, head in enumerate(self.heads):
            sample = self.samples.get(head.layer.head)
            if sample is not None:
                samples[str(number)] = {"capacity": sample.capacity, "clusterings": sorted(sample.clusters)}
                arrays.update(sample_arrays(sample, f"head{number}/sample/"))
        header = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "software": self.software,
            "scenes": self.scenes,
            "heads": heads,
            "channels": [evidence.header() for evidence in self.channels],
            "samples": samples,
            "sampling": self.sampling,
        }
        with Path(path).open("wb") as file:  # a file object: a name would get ".npz" added
            np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)

    @classmethod
    def load(cls, path: str | PathLike) -> ScoreState:
        """Read a state.

        Raises
        ------
        ParameterError
            If the file is no state, is damaged, or has another format version.
        """
        try:
            with opened_archive(path) as file, np.load(file, allow_pickle=False) as arrays:
                header = json.loads(str(arrays["header"][()]))
                if header["format"] != FORMAT:
                    raise KeyError("format")
                if header["format_version"] not in READABLE:
                    raise ParameterError(
                        f"State {short_path(path)} has format version {shown(header['format_version'])}, this version "
                        f"of FloeLens reads {' and '.join(map(str, READABLE))}; make the state again."
                    )
                heads = tuple(
                    read_head(arrays, f"head{number}/", head) for number, head in enumerate(header["heads"])
                )
                channels = tuple(
                    ChannelEvidence.of_file(known, Prefixed(arrays, f"channels{number}/"))
                    for number, known in enumerate(header["channels"])
                )
                samples = {
                    heads[int(number)].layer.head: read_sample(
                        known,
                        Prefixed(arrays, f"head{number}/sample/"),
                        len(heads[int(number)].layer.components),
                    )
                    for number, known in header.get("samples", {}).items()
                }
                return cls(
                    model=header["model"],
                    weights_sha256=header["weights_sha256"],
                    heads=heads,
                    scenes=tuple(header["scenes"]),
                    software=header["software"],
                    channels=channels,
                    samples=samples,
                    sampling=_checked_texts(header.get("sampling", [])),
                )
        except FileNotFoundError:
            raise ParameterError(f"There is no state file {short_path(path)}; check STATE_IN.") from None
        except ModelError as error:
            raise ParameterError(str(error)) from None
        except DAMAGED as error:
            reason = shown_text(f"{type(error).__name__}: {error}", 120)
            raise ParameterError(
                f"{short_path(path)} is no readable state of FloeLens ({reason}); give a file that zscores wrote as "
                "STATE."
            ) from None


_LONGEST = 80  # letters of a text in a header


def _checked_texts(texts: object) -> tuple[str, ...]:
    """Return short texts of a header, refusing anything else."""
    if not (
        isinstance(texts, list) and all(isinstance(text, str) and len(text) < _LONGEST for text in texts)
    ):
        raise ValueError("sampling is no list of short texts")
    return tuple(texts)


_WITH_CHECKSUM = 5  # parts of what tells a scene apart: name, time, corners, size, checksum


def _mark_of(scene: str, scenes: Sequence[str]) -> str:
    """Return what a scene is recognised by: its checksum, time and place where all of its kind have one."""
    parts = scene.split("|")
    if len(parts) < _WITH_CHECKSUM:
        return scene
    older = "|".join(parts[: _WITH_CHECKSUM - 1])  # of a state made before there were checksums
    return older if older in scenes else "|".join(parts[1:])


def _merged_samples(first: ScoreState, second: ScoreState) -> dict[str, RowSample]:
    """Return by head the samples of both; none where one of two labelled parts has none."""
    samples = {}
    labelled = {head.layer.head: head.labelled.n for head in second.heads}
    for head in first.heads:
        name = head.layer.head
        ours, theirs = first.samples.get(name), second.samples.get(name)
        if ours is not None and theirs is not None:
            samples[name] = ours.merge(theirs)
        elif ours is not None and not labelled[name]:
            samples[name] = ours
        elif theirs is not None and not head.labelled.n:
            samples[name] = theirs
    return samples


def _merged_channels(
    first: tuple[ChannelEvidence, ...], second: tuple[ChannelEvidence, ...]
) -> tuple[ChannelEvidence, ...]:
    """Return the evidence of both; scenes whose contributions were not computed add nothing to it."""
    if not first or not second:
        return first or second
    theirs = {evidence.head: evidence for evidence in second}
    return tuple(
        evidence.merge(theirs[evidence.head]) if evidence.head in theirs else evidence for evidence in first
    ) + tuple(evidence for evidence in second if evidence.head not in {part.head for part in first})


def merge_states(states: Iterable[ScoreState]) -> ScoreState:
    """Return the state of all: the same in any order.

    Raises
    ------
    ParameterError
        If there is none, or they belong to different models.
    """
    merged: ScoreState | None = None
    for state in states:
        merged = state if merged is None else merged.merge(state)
    if merged is None:
        raise ParameterError("There is no state to merge: give a scene, or files in STATE_IN.")
    return merged


def check_state(
    state: ScoreState, model: str, weights_sha256: str, layers: Sequence[OutputLayer], path: str
) -> None:
    """Refuse a state that does not belong to a model.

    Parameters
    ----------
    state : ScoreState
        What was read.
    model, weights_sha256 : str
        Id and checksum of the model that is asked for.
    layers : sequence of OutputLayer
        Its heads.
    path : str
        Where the state came from, for the message.

    Raises
    ------
    ParameterError
        If the model, its weights or its heads differ.
    """
    if state.model != model:
        raise ParameterError(
            f"State {path} belongs to model '{state.model}', not to '{model}'; give a state of '{model}'."
        )
    if state.weights_sha256 != weights_sha256:
        raise ParameterError(
            f"State {path} was made with other weights of model '{model}' (checksum {state.weights_sha256[:12]}…, "
            f"not {weights_sha256[:12]}…); make it again with this version of the model."
        )
    known = {layer.head: layer for layer in layers}
    held = {head.layer.head: head.layer for head in state.heads}
    if known.keys() != held.keys() or not all(known[name].same_as(layer) for name, layer in held.items()):
        raise ParameterError(
            f"State {path} holds heads or components that model '{model}' does not have in this form; make it again "
            "with this version of the model."
        )
