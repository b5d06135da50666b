"""The main job from one command: a scene, its ice map, where the evidence lies, which channels carry it.

Without files it simulates a scene. It runs the very algorithms of the toolbox, through
`qgis_process` with a profile of its own, and prints each command so that it can be repeated.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from headless import ROOT, HeadlessQgis, results

MODEL = "aspp-concentration-sim"
SCENES = 4  # simulated: errors of the Z-scores need several
SPLIT = {"CHANNEL_METHOD": "gated"}  # several times as fast as integrated gradients


class Failed(Exception):
    """A step did not work; the message says why."""


def run(qgis: HeadlessQgis, title: str, algorithm: str, **parameters: object) -> dict[str, str]:
    """Run one algorithm, with its title, command and time on the terminal.

    Raises
    ------
    Failed
        With what the algorithm said.
    """
    print(f"\n{title}\n  {shown(algorithm, parameters)}", flush=True)
    start = time.perf_counter()
    done = qgis.run(algorithm, **parameters)
    if done.returncode:
        raise Failed(f"{algorithm} failed:\n{done.stdout}{done.stderr}")
    print(f"  done in {time.perf_counter() - start:.0f} s", flush=True)
    return {name: str(value) for name, value in results(done).items()}


def simulated(qgis: HeadlessQgis, folder: Path, seed: int, size: int) -> dict[str, str]:
    """Simulate a scene with known ice and return its rasters; the first has no number in its names."""
    number = "" if seed == 1 else f"_{seed}"
    return run(
        qgis,
        f"A simulated scene with known ice ({seed} of {SCENES})",
        "floelens:simulatescene",
        SEED=seed,
        ROWS=size,
        COLS=size,
        SAR=folder / f"sar{number}.tif",
        MWR=folder / f"mwr{number}.tif",
        CHART=folder / f"chart{number}.tif",
    )


def state_of(qgis: HeadlessQgis, folder: Path, seed: int, scene: dict[str, str]) -> str:
    """Score a scene and return its state, to be merged with others."""
    return run(
        qgis,
        f"Z-scores of scene {seed}, kept as a state",
        "floelens:zscores",
        SAR=scene["SAR"],
        MWR=scene["MWR"],
        LABELS=scene["CHART"],
        MODEL=MODEL,
        **SPLIT,
        OUTPUT=folder / f"zscores_{seed}.csv",
        STATE=folder / f"zscores_{seed}.npz",
    )["STATE"]


def shown(algorithm: str, parameters: dict[str, object]) -> str:
    """Return the command line as a person would type it."""
    words = [
        f"{name}={one}"
        for name, value in parameters.items()
        for one in (value if isinstance(value, list) else [value])
    ]
    return " ".join(["qgis_process run", algorithm, "--", *map(shlex.quote, words)])


def demonstrate(qgis: HeadlessQgis, folder: Path, sar: str | None, mwr: str | None, size: int) -> None:
    """Run the chain into `folder` and say what it made.

    Raises
    ------
    Failed
        Where a step does not work.
    """
    labels: dict[str, object] = {}
    earlier: list[str] = []
    if sar is None:
        scenes = [simulated(qgis, folder, seed, size) for seed in range(1, SCENES + 1)]
        sar, mwr = scenes[0]["SAR"], scenes[0]["MWR"]
        labels = {"LABELS": scenes[0]["CHART"]}
        earlier = [state_of(qgis, folder, seed, scene) for seed, scene in enumerate(scenes[1:], start=2)]
    inputs = {"SAR": sar, **({"MWR": mwr} if mwr else {}), "MODEL": MODEL}
    scores = run(
        qgis,
        "What the network leans on: Z-scores" + (" of all scenes together" if earlier else ""),
        "floelens:zscores",
        **inputs,
        **labels,
        **(
            {"STATE_IN": earlier, "REFIT": True} if earlier else {}
        ),  # the chart is not what the network learned
        **SPLIT,
        OUTPUT=folder / "zscores.csv",
        REPORT=folder / "zscores.html",
    )
    ice = run(
        qgis,
        "What the network maps: sea-ice concentration",
        "floelens:predict",
        **inputs,
        OUTPUT=folder / "concentration.tif",
    )
    evidence = run(
        qgis,
        "Where the evidence lies: relevance of every input pixel",
        "floelens:relevance",
        **inputs,
        SAR_RELEVANCE=folder / "relevance_sar.tif",
        MWR_RELEVANCE=folder / "relevance_mwr.tif",
        REPORT=folder / "relevance.html",
    )

    picture = folder / "map.png"
    panels = {
        "SAR, HH": sar,
        f"Sea-ice concentration, mapped by {MODEL}": ice["OUTPUT"],
        "Evidence in SAR, HH": evidence["SAR_RELEVANCE"],
        "Evidence in microwave radiometry": evidence["MWR_RELEVANCE"],
    }
    made = {**ice, **evidence, "SAR": sar, "MWR": mwr or "", "CHART": labels.get("LABELS", "")}
    listed = folder / "results.json"
    listed.write_text(json.dumps(made, indent=1), encoding="utf-8")
    drawn = subprocess.run(
        [
            sys.executable,
            "-m",
            "floelens.tools.picture",
            str(picture),
            "--project",
            str(listed),
            *(word for panel in panels.items() for word in panel),
        ],
        env=qgis.environment,
        cwd=ROOT / "build" / "plugins",
        capture_output=True,
        text=True,
        check=False,
    )
    if drawn.returncode:
        raise Failed(f"The picture could not be drawn:\n{drawn.stdout}{drawn.stderr}")

    rasters = [*dict.fromkeys([sar, *([mwr] if mwr else []), *labels.values()])]
    print(f"\nOpen this in QGIS: layers in order, the answer below the map\n  {folder / 'explained.qgz'}")
    print("Rasters (drag them into QGIS; their styles come along)")
    for path in (*rasters, ice["OUTPUT"], evidence["SAR_RELEVANCE"], evidence["MWR_RELEVANCE"]):
        print(f"  {path}")
    print(f"Reports\n  {evidence['REPORT']}\n  {scores['REPORT']}")
    print(f"Z-scores as a table\n  {scores['OUTPUT']}")
    print(f"The map as a picture\n  {picture}")
    print("\nThe network was trained on simulated scenes: for demonstration, not for operational use.")


def main() -> int:
    """Read the command line and run the chain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sar", help="SAR raster (bands hh, hv in dB); simulated where not given")
    parser.add_argument("--mwr", help="AMSR2 raster (14 brightness temperatures in K)")
    parser.add_argument("--size", type=int, default=1600, help="rows and columns of a simulated scene")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo", help="where the results go")
    arguments = parser.parse_args()
    if arguments.mwr and not arguments.sar:
        parser.error("MWR needs a SAR raster beside it: make demo SAR=sar.tif MWR=mwr.tif")

    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    qgis = HeadlessQgis(profile=ROOT / "build" / "profile", plugins=ROOT / "build" / "plugins")
    try:
        qgis.enable("floelens")
        demonstrate(
            qgis,
            folder,
            str(Path(arguments.sar).resolve()) if arguments.sar else None,
            str(Path(arguments.mwr).resolve()) if arguments.mwr else None,
            arguments.size,
        )
    except (Failed, RuntimeError, OSError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
