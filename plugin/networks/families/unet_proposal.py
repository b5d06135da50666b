"""From the tensors of a U-Net to its card and the weights of its graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..card import Architecture, Head, ModelCard, Training
from ..card_checks import WHOLE_IMAGE
from ..files import listed
from ..graph.geometry import geometry
from .checkpoint import StateDict
from .proposal import (
    NOT_STATED,
    Findings,
    Given,
    Proposal,
    channels_of,
    choices_of,
    components_of,
    family_named,
    head_of,
    identifier,
    pixel_size_of,
    ratio_of,
    window_of,
)
from .published import TENTHS_TO_PERCENT, Family
from .unet import UNetForm, recognise
from .unet_graph import Inputs, Kept, receptive_field_radius, unet

_MADE_HERE = ("architecture", "components", "weights", "receptive_field_radius", "alignment")


def propose_unet(state: StateDict, given: Given) -> Proposal:
    """Return what the tensors of a U-Net are found to be.

    Parameters
    ----------
    state : StateDict
        The weights of a file.
    given : Given
        What a person says.

    Raises
    ------
    ModelError
        If they are no U-Net of this family, or what is given contradicts them.
    """
    form = recognise(state.tensors)
    word = given.family if given.family != "auto" else family_of(form)
    family = family_named(word)
    findings = Findings([*state.found, *form.described()])
    choices = choices_of(given, family, form.transposed, findings)
    size = pixel_size_of(given, family, findings)
    ratio = ratio_of(given, size)
    channels = channels_of(form.channels, given, family, ratio, findings)
    heads = _heads(form, family, given, findings)
    parameters = sum(tensor.numel() for tensor in state.tensors.values())
    if choices is None or channels is None or heads is None or not size:
        return Proposal(word, findings, None, {}, parameters)
    fine = [place for place, channel in enumerate(channels) if channel.grid == "fine"]
    coarse = [place for place, channel in enumerate(channels) if channel.grid == "coarse"]
    ratio = next((channels[place].ratio or 1 for place in coarse), 1)
    kept = {name: part for name, (_, part) in heads.items()}
    graph, weights = unet(form, choices, Inputs((*fine, *coarse), len(fine), ratio), kept)
    shape = geometry(graph)
    ordered = tuple(channels[place] for place in (*fine, *coarse))
    radius = receptive_field_radius(form, choices) + shape.beyond_field
    if shape.whole_image:
        findings.found.append(
            f"An output reads {radius} pixels around its own, and depends on the size of the whole image."
        )
        radius = WHOLE_IMAGE
    card = make_card(
        given,
        family,
        findings,
        architecture=Architecture("graph", {"graph": graph.to_json()}),
        channels=ordered,
        heads=tuple(head for head, _ in heads.values()),
        components=components_of(form.filters[0], ordered) if len(form.decoders) == 1 else (),
        pixel_size_m=size,
        receptive_field_radius=radius,
        alignment=shape.alignment,
    )
    return Proposal(word, findings, card, weights, parameters)


def family_of(form: UNetForm) -> str:
    """Return the family that names and shapes of a U-Net point to."""
    if form.naming == "starter_kit":
        linear = form.outputs.get("sic") == 1
        return "mmseaice" if linear or form.channels == 16 else "autoice"
    return "uit" if form.naming == "steps" and form.channels == 3 and len(form.heads) == 1 else "unet"


def _heads(
    form: UNetForm, family: Family, given: Given, findings: Findings
) -> dict[str, tuple[Head, Kept]] | None:
    """Return the card's heads by their name in the file; None where something must be given."""
    by_hand = given.card.get("heads")
    names = list(form.heads)
    if by_hand is not None and len(by_hand) != len(names):
        findings.needed.append(f"CARD: {len(names)} heads, for {listed(names)} in this order.")
        return None
    made = {}
    for position, (name, outputs) in enumerate(form.outputs.items()):
        found = head_of(name, outputs, family, by_hand[position] if by_hand else None, findings)
        if found is not None:
            scale = 1.0
            if name == "sic" and found[0].kind == "linear" and by_hand is None:
                scale = TENTHS_TO_PERCENT
                findings.assumed.append(
                    "The linear concentration is in tenths, as the challenge's labels are; its weights are multiplied "
                    "by 10 for %."
                )
            made[name] = found[0], Kept(found[1], scale)
    return made if len(made) == len(names) else None


def make_card(given: Given, family: Family, findings: Findings, **measured: Any) -> ModelCard:
    """Return the card of a network: what was measured, what a person says, and what is published.

    Raises
    ------
    CardError
        If a field by hand cannot be used.
    """
    by_hand: Mapping[str, Any] = {
        name: value for name, value in given.card.items() if name not in ("channels", "heads", "pixel_size_m")
    }
    title = str(by_hand.get("title") or given.name or family.title)
    licence = given.licence or str(by_hand.get("licence", ""))
    if not licence:
        findings.assumed.append("The licence of the weights is not stated (LICENCE).")
    fields: dict[str, Any] = {
        "summary": f"Imported network of the family '{family.title}'.",
        "citation": family.citation,
        "limits": family.limits,
        "noise_correction": family.noise_correction,
        "multilook": family.multilook,
        "training": Training(),
        **by_hand,
        "id": by_hand.get("id") or identifier(given.name or title),
        "title": title,
        "licence": licence or NOT_STATED,
    }
    whole_image = measured["receptive_field_radius"] >= WHOLE_IMAGE
    fields["window"] = window_of(given, whole_image, findings)
    training = fields["training"]
    notes = {"found": list(findings.found), "assumed": list(findings.assumed)}
    fields["training"] = Training(training.data, training.script, {**training.details, "import": notes})
    return ModelCard(**fields, **measured)


def check_by_hand(fields: Mapping[str, Any]) -> str:
    """Return the first field of a card by hand that the import makes itself; empty where there is none."""
    return next((name for name in _MADE_HERE if name in fields), "")
