"""Makes the plugin's zip: the tracked files that ship, under ``floelens/``, the same bytes every time.

QGIS installs the result from *Plugins > Manage and Install Plugins > Install from ZIP*.
"""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "floelens"
LARGEST = 25_000_000  # bytes; what the QGIS plugin repository takes

# What serves the work on FloeLens, not its use. Names that begin with a dot stay out as well.
LEFT_OUT = frozenset(
    {
        *("tests", "bench", "tools", "docs"),
        *(
            "Makefile",
            "pyproject.toml",
            "requirements-environment.txt",
            "requirements-dev.txt",
            "requirements-docs.txt",
        ),
        *("ARCHITECTURE.md", "CONTRIBUTING.md"),
    }
)


def version(root: Path = ROOT) -> str:
    """Return the version that `metadata.txt` states."""
    metadata = configparser.ConfigParser(interpolation=None)
    metadata.read(root / "metadata.txt", encoding="utf-8")
    return metadata["general"]["version"]


def shipped(root: Path = ROOT) -> list[str]:
    """Return the paths of the tracked files that ship, sorted.

    Raises
    ------
    RuntimeError
        Where `root` is not a git checkout, or a tracked file is missing from it.
    """
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if listed.returncode:
        raise RuntimeError(f"{root} is not a git checkout: {listed.stderr.strip()}")
    paths = sorted(
        path
        for path in listed.stdout.split("\0")
        if path and path.split("/")[0] not in LEFT_OUT and not path.startswith(".")
    )
    absent = [path for path in paths if not (root / path).is_file()]
    if absent:
        raise RuntimeError(f"tracked, but not in the folder: {', '.join(absent)}")
    return paths


def build(folder: Path, root: Path = ROOT) -> Path:
    """Write ``floelens-<version>.zip`` into `folder` and return its path.

    Raises
    ------
    RuntimeError
        Where files are missing, or the zip is too large for the QGIS plugin repository.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}-{version(root)}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in shipped(root):
            # A fixed time and mode: the bytes depend on nothing but the content.
            entry = zipfile.ZipInfo(f"{NAME}/{name}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, (root / name).read_bytes(), compresslevel=9)
    size = path.stat().st_size
    if size > LARGEST:
        path.unlink()
        raise RuntimeError(f"{path.name} would have {size / 1e6:.1f} MB; {LARGEST / 1e6:.0f} MB is the limit")
    return path


def main() -> int:
    """Build the zip into ``dist`` and say where it is."""
    try:
        path = build(ROOT / "dist")
    except RuntimeError as error:
        print(f"No package made: {error}", file=sys.stderr)
        return 1
    print(f"{path.relative_to(ROOT)} ({path.stat().st_size / 1e6:.1f} MB)")
    print("In QGIS: Plugins > Manage and Install Plugins > Install from ZIP")
    return 0


if __name__ == "__main__":
    sys.exit(main())
