"""Draws the pictures of the help pages: what a tool takes and what it gives, on a simulated scene.

::

    cd build/plugins && python -m floelens.tools.help_pictures

The tools are run as jobs; each picture is a small PNG in ``resources/help``, as wide as QGIS's help beside a dialog.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import rasterio
from floelens.plugin.ground.protocols import Silent
from floelens.plugin.jobs.ablation import Ablation
from floelens.plugin.jobs.artifacts import Artifacts
from floelens.plugin.jobs.common.inputs import SceneInputs
from floelens.plugin.jobs.contributions import Contributions
from floelens.plugin.jobs.features.job import Features
from floelens.plugin.jobs.firstlook import MODEL
from floelens.plugin.jobs.predict import Predict
from floelens.plugin.jobs.relevance import Relevance
from floelens.plugin.jobs.simulate import SimulateScene
from floelens.plugin.jobs.zscores import ZScores
from matplotlib.figure import Figure
from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "resources" / "help"
WIDTH, HEIGHT, DPI = 2.5, 1.35, 100  # inches
LARGEST = 40_000  # bytes of a picture
SEED, SIZE = 7, 500
mpl.rcParams["font.size"] = 6.5


@dataclass(frozen=True)
class Panel:
    """One map: its title, values (row, column), and colours; about 0 where `signed`."""

    title: str
    values: np.ndarray
    colours: str = "gray"
    signed: bool = False


def band(path: str, number: int = 1) -> np.ndarray:
    """Return a band of a raster, NaN where it has no value."""
    with rasterio.open(path) as raster:
        return raster.read(number, masked=True).astype(float).filled(np.nan)


def draw(name: str, *panels: Panel) -> None:
    """Draw maps side by side into the picture of a tool."""
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI)
    for axes, panel in zip(figure.subplots(1, len(panels)), panels):
        low, high = np.nanpercentile(panel.values, [2, 98])
        if panel.signed:
            high = max(abs(low), abs(high))
            low = -high
        axes.imshow(
            panel.values[::2, ::2] if panel.values.size > 1e5 else panel.values,
            panel.colours,
            vmin=low,
            vmax=high,
        )
        axes.set_title(panel.title, pad=2)
        axes.set_axis_off()
    save(name, figure)


def draw_scores(name: str, table: str) -> None:
    """Draw the largest Z-scores of a table as bars."""
    with Path(table).open(encoding="utf-8") as file:
        rows = [(row["component"], float(row["z"])) for row in csv.DictReader(file) if row["z"]]
    rows = sorted(rows, key=lambda row: -abs(row[1]))[:8][::-1]
    figure = Figure(figsize=(WIDTH, HEIGHT), dpi=DPI)
    axes = figure.subplots()
    axes.barh([row[0] for row in rows], [row[1] for row in rows], color="#2c7fb8")
    axes.set_title("Strongest components by |z|", pad=2)
    axes.spines[["top", "right"]].set_visible(False)
    save(name, figure)


def save(name: str, figure: Figure) -> None:
    """Write a picture.

    Raises
    ------
    RuntimeError
        It is larger than a help page may carry.
    """
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.9, wspace=0.04) if name != "zscores" else figure.tight_layout(
        pad=0.3
    )
    path = FOLDER / f"{name}.png"
    figure.savefig(path, metadata={"Software": None})
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(64).save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        raise RuntimeError(f"{path} has {path.stat().st_size} bytes; {LARGEST} are the most")


def main() -> int:
    """Run the tools and draw."""
    with tempfile.TemporaryDirectory() as folder:

        def at(name: str) -> str:
            return str(Path(folder, name))

        quiet = Silent()
        made = SimulateScene(
            seed=SEED,
            rows=SIZE,
            cols=SIZE,
            georeferencing="projected",
            sar=at("s.tif"),
            mwr=at("m.tif"),
            chart=at("c.tif"),
        ).run(quiet)
        scene = SceneInputs(at("s.tif"), at("m.tif"))
        sar, truth = Panel("SAR, HH", band(at("s.tif"))), Panel("true ice", band(at("c.tif")), "Blues_r")
        radiometry = Panel("36.5 GHz, V", band(at("m.tif"), 10), "magma")
        draw("simulatescene", sar, radiometry, truth)
        draw("importscene", sar, radiometry)
        Predict(scene=scene, model=MODEL, output=at("p.tif")).run(quiet)
        draw("predict", sar, Panel("mapped ice", band(at("p.tif")), "Blues_r"))
        draw("bulletin", Panel("mapped ice", band(at("p.tif")), "Blues_r"), sar)
        Relevance(scene=scene, model=MODEL, sar_relevance=at("r.tif"), mwr_relevance=at("rm.tif")).run(quiet)
        draw("relevance", sar, Panel("evidence in HH", band(at("r.tif")), "PuOr_r", True))
        Contributions(scene=scene, model=MODEL, output=at("k.tif"), groups="sensor").run(quiet)
        draw(
            "contributions",
            Panel("what SAR adds", band(at("k.tif")), "PuOr_r", True),
            Panel("what MWR adds", band(at("k.tif"), 2), "PuOr_r", True),
        )
        Ablation(scene=scene, model=MODEL, output=at("a.tif"), groups="sensor").run(quiet)
        draw("ablation", sar, Panel("change without SAR", band(at("a.tif")), "PuOr_r", True))
        ZScores(
            scene=scene, model=MODEL, labels=str(made["CHART"]), channel_method="gated", output=at("z.csv")
        ).run(quiet)
        draw_scores("zscores", at("z.csv"))
        Features(scene=scene, model=MODEL, output=at("f.tif")).run(quiet)
        draw("features", sar, Panel("class activation", band(at("f.tif")), "viridis"))
        Artifacts(scene=scene, model=MODEL, artifact=at("n.tif"), tests=("null_input",), repeats=19).run(
            quiet
        )
        draw(
            "artifacts",
            Panel("evidence in HH", band(at("r.tif")), "PuOr_r", True),
            Panel("artifact", band(at("n.tif")), "PuOr_r", True),
        )
    print(f"Pictures are in {FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
