"""Makes the helpers beside the tests importable (import mode importlib leaves sys.path alone)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from floelens.models import aspp_bands

if "model_networks" not in sys.modules:
    spec = importlib.util.spec_from_file_location("model_networks", Path(__file__).with_name("networks.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["model_networks"] = module
    spec.loader.exec_module(module)


@pytest.fixture
def two_cores(monkeypatch):
    """Have even small arrays computed by two cores, each with its share of the rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    monkeypatch.setattr(aspp_bands, "LEAST_SHARE", 8)
    yield
    torch.set_num_threads(before)
