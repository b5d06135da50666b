"""The fast network on other processors than this one, and under the oldest torch."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from floelens.plugin.networks.kernels import convolutions

HERE = Path(__file__).parent / "aspp" / "fast"
X86 = platform.machine().lower() in convolutions.X86
WITHOUT_AVX512 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
# Tests of single precision, ahead and back.
WALK = "test_gradient.py::test_logits_multipliers_and_the_share_of_every_bias_are_those_of_the_walk"
EPSILON = "test_gradient.py::test_epsilon_relevance_and_its_books_are_those_of_the_walk"
TESTS = (
    f"{WALK}[float32-interpretability_small-1]",
    f"{WALK}[float32-interpretability_large-4]",
    f"{EPSILON}[float32-1]",
    f"{EPSILON}[float32-4]",
)


def run(*arguments, **environment):
    """Return what a Python of its own printed; its failure is this test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, env=kept | environment, cwd=HERE.parents[1], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def python(plugin_folder):
    """Run code that can import the plugin, in a Python of its own."""

    def do(code, **environment):
        return run("-c", f"import sys; sys.path.insert(0, {str(plugin_folder)!r})\n{code}", **environment)

    return do


@pytest.mark.skipif(not X86, reason="registers of 256 and of 512 bits are those of x86 processors")
@pytest.mark.skipif(not hasattr(torch.backends, "cpu"), reason="torch 2.0 does not tell of the processor")
def test_where_registers_have_256_bits_numbers_are_as_right_as_elsewhere(python):
    script = "from floelens.plugin.networks.kernels import convolutions; print(convolutions.LANES)"
    told = python(script, **WITHOUT_AVX512)
    assert told.split() == ["8"]
    tests = [f"{HERE}/{test}" for test in TESTS]
    found = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests, **WITHOUT_AVX512)
    assert f"{len(TESTS)} passed" in found


@pytest.fixture
def asked_anew():
    convolutions.computes_bfloat16.cache_clear()
    yield
    convolutions.computes_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("machine", "has", "computes"), [("AMD64", 0, 0), ("x86_64", 1, 1), ("aarch64", 0, 1)]
)
def test_bfloat16_that_is_only_imitated_does_not_count(machine, has, computes, asked_anew, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True, raising=False)
    monkeypatch.setattr(convolutions, "_has_bfloat16_instructions", lambda: bool(has))
    assert convolutions.computes_bfloat16() == (bool(computes) and torch.backends.mkldnn.is_available())
    convolutions.computes_bfloat16.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert not convolutions.computes_bfloat16()


@pytest.mark.parametrize(
    ("flags", "has"),
    [("fma avx512f avx512_vnni", False), ("avx512f avx512_bf16 clzero", True), (None, False)],
)
def test_where_torch_cannot_tell_the_system_is_asked(flags, has, monkeypatch, tmp_path):
    for name in ("avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{name}_supported", raising=False)
    told = tmp_path / "cpuinfo"
    if flags is not None:
        told.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(convolutions, "Path", lambda _name: told)
    assert convolutions._has_bfloat16_instructions() == has


@pytest.mark.parametrize(("avx512", "amx"), [(True, False), (False, True), (False, False)])
def test_one_kind_of_instructions_will_do(avx512, amx, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert convolutions._has_bfloat16_instructions() == (avx512 or amx)


def test_a_torch_that_does_not_tell_of_the_processor_will_do(python):
    # 2.0 has neither; the first is read when modules are imported, the other when a network is made ready.
    python(
        "import torch\n"
        "vars(torch.backends).pop('cpu', None)\n"
        "class Without:\n"
        "    def __getattr__(self, name):\n"
        "        raise AttributeError(name)\n"
        "torch.ops.mkldnn = Without()\n"
        "from floelens.plugin.networks.kernels import convolutions\n"
        "from floelens.plugin.core.streaming import runner as network\n"
        "assert not convolutions.computes_bfloat16()\n"
        "assert network.usable_precision('bfloat16', torch.device('cpu')) == 'float32'\n"
        "values = torch.rand(1, 4, 5, 6)\n"
        "filters = convolutions.Filters(torch.rand(3, 4, 3, 3))\n"
        "with torch.no_grad():\n"
        "    assert filters(values, relu=True).shape == (1, 3, 5, 6)\n"
        "    assert convolutions.planes(values, torch.rand(2, 4, 1, 1)).shape == (2, 5, 6)\n"
    )
