"""Makes the helpers beside the tests importable (import mode importlib leaves sys.path alone)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

if "model_networks" not in sys.modules:
    spec = importlib.util.spec_from_file_location("model_networks", Path(__file__).with_name("networks.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["model_networks"] = module
    spec.loader.exec_module(module)
