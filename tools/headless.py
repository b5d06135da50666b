"""QGIS without a screen and apart from anybody's settings.

A :class:`HeadlessQgis` has a profile of its own, sees one folder of plugins, and finds the
libraries of the Python it runs under::

    qgis = HeadlessQgis(profile=Path("build/profile"), plugins=Path("build/plugins"))
    qgis.enable("floelens")
    qgis.run("floelens:predict", SAR="sar.tif", MWR="mwr.tif", MODEL="...", OUTPUT="ice.tif")

Only the standard library is needed here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def executable() -> str:
    """Return the `qgis_process` to call.

    Debian 12's own wrapper adds an option that the program refuses; where the program itself is
    there (``qgis_process.bin``), it is called directly.

    Raises
    ------
    FileNotFoundError
        Where QGIS is not installed.
    """
    for name in ("qgis_process.bin", "qgis_process"):
        found = shutil.which(name)
        if found:
            return found
    raise FileNotFoundError("qgis_process is not installed; run: make env")


@dataclass(frozen=True)
class HeadlessQgis:
    """A QGIS of its own profile, run through `qgis_process` or as Python.

    Parameters
    ----------
    profile : Path
        Folder of settings; made where it is missing.
    plugins : Path, optional
        Folder that holds plugin folders, beside those of the profile.
    shadows : sequence of Path
        Folders searched for Python modules before all others.
    variables : dict
        Further environment variables.
    """

    profile: Path
    plugins: Path | None = None
    shadows: Sequence[Path] = ()
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the process."""
        runtime = self.profile / "runtime"
        runtime.mkdir(parents=True, exist_ok=True)
        runtime.chmod(0o700)
        libraries = [str(folder) for folder in (*self.shadows, sysconfig.get_path("purelib"))]
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("QGIS_", "PYTEST_")) and name != "PYTHONPATH"
        }
        environment.update(
            QGIS_CUSTOM_CONFIG_PATH=str(self.profile),
            PYTHONPATH=os.pathsep.join(libraries),
            PYTHONDONTWRITEBYTECODE="1",
            QT_QPA_PLATFORM="offscreen",
            XDG_RUNTIME_DIR=str(runtime),
        )
        if self.plugins is not None:
            environment["QGIS_PLUGINPATH"] = str(self.plugins)
        environment.update(self.variables)
        return environment

    def call(self, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
        """Call `qgis_process` with `arguments`; output and errors come back as text."""
        return subprocess.run(
            [executable(), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            restore_signals=False,  # a file beyond a limit is an error to report, not the end of the process
        )

    def enable(self, plugin: str) -> None:
        """Enable `plugin` in the profile, where it is not yet.

        Raises
        ------
        RuntimeError
            Where QGIS does not find the plugin or cannot load it.
        """
        done = self.call("plugins", "enable", plugin)
        if done.returncode and "already enabled" not in done.stdout + done.stderr:
            raise RuntimeError(f"QGIS cannot enable the plugin {plugin}:\n{done.stdout}{done.stderr}")

    def command(self, algorithm: str, **parameters: object) -> list[str]:
        """Return the command line that runs `algorithm`; a list repeats its key."""
        return [executable(), "--json", "run", algorithm, "--", *_assignments(parameters)]

    def run(
        self, algorithm: str, timeout: float | None = None, **parameters: object
    ) -> subprocess.CompletedProcess[str]:
        """Run `algorithm`; its results are in the output, see :func:`results`."""
        return self.call(*self.command(algorithm, **parameters)[1:], timeout=timeout)

    def python(
        self, script: str, *arguments: str, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `script` (Python source) by this interpreter, in the same environment."""
        return subprocess.run(
            [sys.executable, "-c", script, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def results(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    """Return the results that a finished ``run`` printed as JSON.

    Raises
    ------
    RuntimeError
        Where the algorithm failed; the message is what it said.
    """
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    found: dict[str, object] = json.loads(done.stdout[done.stdout.index("{") :])["results"]
    return found


def _assignments(parameters: dict[str, object]) -> Iterator[str]:
    for name, value in parameters.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            yield f"{name}={one}"
