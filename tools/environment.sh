#!/bin/sh
# Sets up what FloeLens needs: QGIS and its libraries from apt, then .venv on QGIS's own Python.
# `make env` calls it. What is there already stays as it is; numpy is never installed or replaced.
#
#   PYTHON       the Python that QGIS uses (default /usr/bin/python3)
#   TORCH_INDEX  the package index to take torch from (default: pip's own)
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-/usr/bin/python3}
torch_index=${TORCH_INDEX:-}
unset PYTHONPATH PYTHONHOME

say() { printf '%s\n' "$*"; }
stop() { printf '\n%s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
imports() { "$python" -c "import $1" >/dev/null 2>&1; }

# --- system packages -------------------------------------------------------------------------

have_qgis() { have qgis_process || have qgis_process.bin; }

missing_packages() {
    [ -x "$python" ] || printf ' python3'
    have_qgis || printf ' qgis'
    imports qgis.core || printf ' python3-qgis'
    imports ensurepip || printf ' python3-venv'
    imports osgeo.gdal || printf ' python3-gdal'
    imports pyproj || printf ' python3-pyproj'
    imports scipy || printf ' python3-scipy'
    imports matplotlib || printf ' python3-matplotlib'
    imports jinja2 || printf ' python3-jinja2'
    imports rasterio || printf ' python3-rasterio'
}

missing=$(missing_packages)
if [ "$missing" = " python3-rasterio" ] && ! apt-cache show python3-rasterio >/dev/null 2>&1; then
    missing="" # a wheel of it will do
fi
# Debian 13 and later have torch 2 built for the CPU; pip's default on Linux is the build for CUDA.
packaged_torch() { LC_ALL=C apt-cache policy python3-torch 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*\)\..*/\1/p'; }
as_root_here() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
if [ -z "$torch_index" ] && ! imports torch && ! .venv/bin/python -c 'import torch' >/dev/null 2>&1 &&
    [ "$(packaged_torch)" -ge 2 ] 2>/dev/null && as_root_here; then
    missing="$missing python3-torch"
fi
if [ -n "$missing" ]; then
    if ! have apt-get; then
        stop "FloeLens needs QGIS 3.22 or newer and, in its Python ($python), what Debian calls:$missing.
Please install them with this system's package manager, then run make again.
If QGIS uses another Python, name it: make env PYTHON=/path/to/python3"
    elif [ "$(id -u)" = 0 ]; then
        as_root=""
    elif have sudo && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        stop "System packages are missing, and there are no rights here to install them. Please run

    sudo apt-get update && sudo apt-get install --no-install-recommends$missing

and then make again."
    fi
    say "Installing from apt:$missing"
    $as_root apt-get update
    # shellcheck disable=SC2086  (a list of words)
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
fi
have_qgis || stop "qgis_process is still not there: look at the messages of apt-get above."
"$python" -c 'from qgis.core import Qgis; raise SystemExit(Qgis.QGIS_VERSION_INT < 32200)' ||
    stop "FloeLens needs QGIS 3.22 or newer with Python modules that $python can import. QGIS uses another Python? Name it: make env PYTHON=/path/to/python3"

# --- .venv -----------------------------------------------------------------------------------

# A .venv of another Python (QGIS was updated, say) is of no use: its packages would not be found.
version='import sys; print(sys.version_info[:2])'
if [ "$(.venv/bin/python -c "import pip; $version" 2>/dev/null)" != "$("$python" -c "$version")" ]; then
    say "Making .venv on $python, with access to its packages"
    "$python" -m venv --system-site-packages --clear .venv
fi
# pyproj looks for PROJ's data under the prefix of its Python, which in .venv is .venv itself.
mkdir -p .venv/share
ln -sfn "$("$python" -c 'import pyproj; print(pyproj.datadir.get_data_dir())')" .venv/share/proj
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }

# What QGIS shares with FloeLens keeps its version, whatever a package asks for.
"$python" - >.venv/constraints.txt <<'PYTHON'
from importlib.metadata import PackageNotFoundError, version

for name in ("numpy", "scipy", "GDAL", "pyproj", "matplotlib", "Jinja2", "rasterio"):
    try:
        print(f"{name}=={version(name)}")
    except PackageNotFoundError:
        if name == "numpy":
            raise
PYTHON

pins=.venv/requirements.txt
cp requirements-environment.txt $pins
if imports rasterio; then
    sed -i '/^# rasterio:/,/^$/d' $pins
else
    say "No rasterio in the system: taking the wheel"
fi
if "$python" -c 'import torch; raise SystemExit(int(torch.__version__.split(".")[0]) < 2)' 2>/dev/null; then
    say "Using the system's torch"
    sed -i '/^# torch:/,/^$/d' $pins
else
    torch=$(sed -n 's/^torch==//p' $pins)
    install_torch() { pip install --no-deps "$@"; }
    if .venv/bin/python -c "from importlib.metadata import version as v; raise SystemExit(v('torch').split('+')[0] != '$torch')" 2>/dev/null; then
        say "torch $torch is there"
    elif [ -n "$torch_index" ]; then
        install_torch --index-url "$torch_index" "torch==$torch"
    elif install_torch "torch==$torch+cpu"; then :
    else
        say "No CPU build of torch could be had here; taking the default build, which can be large."
        say "To use another index: make env TORCH_INDEX=https://..."
        install_torch "torch==$torch"
    fi
fi
pip install --constraint .venv/constraints.txt -r $pins -r requirements-dev.txt

.venv/bin/python - <<'PYTHON'
import sys

import numpy
import rasterio
import safetensors
import torch

if numpy.__file__.startswith(sys.prefix):
    raise SystemExit("numpy was installed into .venv, where QGIS's own belongs: delete .venv and run make env again")
print(f"Ready: torch {torch.__version__}, rasterio {rasterio.__version__}, safetensors "
      f"{safetensors.__version__}, numpy {numpy.__version__} (QGIS's own)")
PYTHON
