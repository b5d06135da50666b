"""Links this checkout into a QGIS profile as the plugin ``floelens``."""

from __future__ import annotations

import re
import shlex
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def link(profile: Path) -> Path:
    """Put a link to this checkout into the plugin folder of `profile` and return its path.

    Raises
    ------
    RuntimeError
        Where something else is installed there under the same name.
    """
    path = profile / "python" / "plugins" / "floelens"
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        raise RuntimeError(
            f"{path} is there already and is not a link. If it is an installed FloeLens, remove it in "
            f"QGIS (Plugins > Manage and Install Plugins > Uninstall), then try again."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(ROOT)
    return path


def gather_libraries(folder: Path, names: Iterable[str], site: Path) -> Path:
    """Link into `folder` what QGIS's own Python lacks of the run-time libraries, and return the folder.

    QGIS looks there before its own libraries: what it has, and what only development needs, must not be in it.

    Parameters
    ----------
    folder : Path
        Emptied of links first.
    names : iterable of str
        Distributions.
    site : Path
        Folder that they are installed in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_symlink():
            old.unlink()
    others = [path for path in sys.path if path and Path(path).resolve() != site.resolve()]
    for distribution in distributions(path=[str(site)]):
        if _plain(distribution.metadata["Name"]) not in {_plain(name) for name in names}:
            continue
        tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
        modules = {top.split(".")[0] for top in tops if not top.endswith((".dist-info", ".libs", ".pth"))}
        if modules and all(PathFinder.find_spec(module, others) for module in modules):
            continue
        for top in tops:
            (folder / top).symlink_to(site / top)
    return folder


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed() -> list[str]:
    lines = (ROOT / "requirements-environment.txt").read_text(encoding="utf-8").splitlines()
    return [line.split("==")[0] for line in lines if "==" in line]


def main(profile: str) -> int:
    """Link, and say what is left to do."""
    try:
        path = link(Path(profile).expanduser())
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    libraries = str(
        gather_libraries(ROOT / ".venv" / "libraries", _needed(), Path(sysconfig.get_path("purelib")))
    )
    print(f"Linked {path} -> {ROOT}")
    print("Start QGIS so that it finds torch, rasterio and safetensors:\n")
    print(f"    PYTHONPATH={shlex.quote(libraries)} qgis\n")
    print("(or set PYTHONPATH once in Settings > Options > System > Environment, and restart QGIS),")
    print("then tick FloeLens in Plugins > Manage and Install Plugins > Installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
