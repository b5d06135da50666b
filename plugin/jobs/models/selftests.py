"""The self-test of a network, as the jobs on models run it and as a page lists it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...ground.protocols import Progress
from ...networks.card import ModelCard

if TYPE_CHECKING:
    from ...core.selftest.run import Check
    from ...networks.families.proposal import Proposal


def tested(proposal: Proposal, card: ModelCard, progress: Progress) -> tuple[Any, tuple[Check, ...]]:
    """Return the network of a proposal with its weights, and what was tested of it."""
    from ...core.selftest.run import run_selftest
    from ...networks.package import build
    from ...networks.weights import fill

    module = build(card)
    fill(module, proposal.weights, card)
    module.eval().requires_grad_(False)
    return module, run_selftest(card, module, progress, proposal.file_parameters)


def check_values(check: Check) -> dict[str, Any]:
    """Return a test as the values of a row."""
    result = {True: "passed", False: "FAILED", None: "not tested"}[check.passed]
    return {"test": check.name, "found": check.found, "result": result, "note": check.note}


def warn_of_failures(checks: Sequence[Check], progress: Progress) -> list[dict[str, Any]]:
    """Warn of each test that failed; return all tests as rows."""
    for check in checks:
        if check.passed is False:
            progress.warn(f"Self-test, {check.name}: {check.found}. {check.note}".strip())
    return [check_values(check) for check in checks]
