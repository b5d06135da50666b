"""Links this checkout into a QGIS profile as the plugin ``floelens``."""

from __future__ import annotations

import shlex
import sys
import sysconfig
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


def main(profile: str) -> int:
    """Link, and say what is left to do."""
    try:
        path = link(Path(profile).expanduser())
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    libraries = sysconfig.get_path("purelib")
    print(f"Linked {path} -> {ROOT}")
    print("Start QGIS so that it finds torch, rasterio and safetensors:\n")
    print(f"    PYTHONPATH={shlex.quote(libraries)} qgis\n")
    print("(or set PYTHONPATH once in Settings > Options > System > Environment, and restart QGIS),")
    print("then tick FloeLens in Plugins > Manage and Install Plugins > Installed.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
