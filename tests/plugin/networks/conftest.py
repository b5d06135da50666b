"""Makes the helpers beside the tests importable (import mode importlib leaves sys.path alone)."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.networks.aspp.fast import bands as aspp_bands


@pytest.fixture
def two_cores(monkeypatch):
    """Have even small arrays computed by two cores, each with its share of the rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(aspp_bands, "LEAST_SHARE", 8)
    yield
    torch.set_num_threads(before)
