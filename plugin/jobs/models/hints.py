"""What a dialog says of a file of weights before it is imported: what it is, and what is still needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...ground.errors import FloeLensError
from ...networks.files import short_path

if TYPE_CHECKING:
    from ..importmodel import ImportModel


@dataclass(frozen=True)
class Hint:
    """Sentences on a file and what was given of it.

    Parameters
    ----------
    found : tuple of str
        What the file is.
    needed : tuple of str
        What has to be given yet, each beginning with the name of a parameter; or why it cannot be imported.
    title : str
        The file in a few words.
    family : str
        Word of the family; empty where it was not recognised.
    defaults : mapping of str to str
        What holds for parameters that are left empty, by their names.
    """

    found: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    title: str = ""
    family: str = ""
    defaults: Mapping[str, str] = field(default_factory=dict)


def hint_for(job: ImportModel) -> Hint:
    """Return what can be said of an import without running the network; never raises for what a file holds."""
    from ...io.models.archive import PackageArchive, is_archive
    from ...networks.families.published import FAMILIES
    from ...networks.registry import CARD
    from .installation import card_in

    try:
        if not Path(job.input).is_dir() and is_archive(job.input):
            with PackageArchive(job.input) as archive:
                package = card_in(archive.read(CARD), f"{short_path(job.input)}/{CARD}")
            named = f"A model package: {package.title} (id {package.id})."
            return Hint(title=named, defaults={"NAME": package.title, "LICENCE": package.licence})
        proposal = job.proposed()
    except FloeLensError as error:
        return Hint(needed=(str(error),))
    except ValueError as error:
        return Hint(needed=(f"The card in {short_path(job.input)} is no valid JSON: {str(error)[:100]}.",))
    findings, card = proposal.findings, proposal.card
    family = FAMILIES[proposal.family]
    defaults = {"NAME": family.title, "LICENCE": "not stated"}
    if not any("CHANNELS" in sentence for sentence in findings.needed):
        defaults["CHANNELS"] = ",".join(family.channels)
    if family.pixel_size_m:
        defaults["PIXEL_SIZE"] = f"{family.pixel_size_m:g}"
    if card is not None:
        defaults |= {"NAME": f"{card.title} (id {card.id})", "LICENCE": card.licence}
        defaults["CHANNELS"] = ",".join(channel.name for channel in card.channels)
        defaults["PIXEL_SIZE"] = f"{card.pixel_size_m:g}"
    title = f"Recognised: {family.title} ({proposal.family})."
    return Hint(tuple(findings.found), tuple(findings.needed), title, proposal.family, defaults)
