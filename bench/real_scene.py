"""Consistency of the bundled concentration model with a real chart: a check of the whole path, no validation.

AMSR2 is real (23 August 2019, Franz Josef Land), the radar is simulated after DMI's concentration of
the same scene, which itself is a network's product. Everything runs through `qgis_process`, on the
full 5353 x 5241 pixels. Two controls show how much each sensor brings: the radar of open water
everywhere, and radiometry held at its mean.

    make bench-real
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import rasterio
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tools"))

from headless import HeadlessQgis, results  # noqa: E402
from real_scene import concentration_path, write_brightness_temperatures  # noqa: E402

DATA = ROOT.parent / "shared" / "data"
MODEL = "aspp-concentration-sim"
CLASSES = ((0, 0, "0 %"), (1, 14, "1-14 %"), (15, 39, "15-39 %"), (40, 69, "40-69 %"), (70, 100, "70-100 %"))
DISTANCES_KM = (0, 5, 20, 50, 100, 1000)
SEED = 2019


def copied(source: Path, path: Path, values: np.ndarray, names: tuple[str, ...]) -> Path:
    """Write `values` (band, row, column) on the ground control points of `source`."""
    with rasterio.Env(OSR_USE_NON_DEPRECATED="NO"), rasterio.open(source) as raster:
        gcps, crs = raster.gcps
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=values.shape[1],
            width=values.shape[2],
            count=len(values),
            dtype=values.dtype,
            gcps=gcps,
            crs=crs,
        ) as out:
            out.write(values)
            out.descriptions = names
    return path


def skill(predicted: np.ndarray, truth: np.ndarray, where: np.ndarray) -> str:
    """Return RMSE, bias and R2 of predicted against true percent where both are known."""
    known = where & np.isfinite(predicted)
    p, t = predicted[known].astype(float), truth[known].astype(float)
    if len(p) < 100:
        return "too few pixels"
    rmse, spread = np.sqrt(np.mean((p - t) ** 2)), np.var(t)
    r2 = f"{1 - np.mean((p - t) ** 2) / spread:6.3f}" if spread > 0 else "     -"
    return f"n {len(p):>9}  RMSE {rmse:5.1f} %  bias {np.mean(p - t):+5.1f} %  R2 {r2}"


def table(title: str, predicted: np.ndarray, truth: np.ndarray, distance_km: np.ndarray) -> None:
    """Print the skill overall, by class of concentration, and by distance to land."""
    sea = truth <= 100
    print(f"\n{title}\n  all                 {skill(predicted, truth, sea)}")
    for low, high, name in CLASSES:
        print(f"  {name:<19} {skill(predicted, truth, sea & (truth >= low) & (truth <= high))}")
    for near, far in zip(DISTANCES_KM, DISTANCES_KM[1:]):
        inside = sea & (distance_km >= near) & (distance_km < far)
        print(f"  {f'{near}-{far} km to land':<19} {skill(predicted, truth, inside)}")


def main() -> int:
    """Run the scene and its controls; return the exit code."""
    if not DATA.is_dir():
        print("The folder of real data (shared/data beside the project) is not here: nothing to check.")
        return 0
    folder = ROOT / "build" / "real"
    folder.mkdir(parents=True, exist_ok=True)
    qgis = HeadlessQgis(profile=ROOT / "build" / "profile", plugins=ROOT / "build" / "plugins")
    qgis.enable("floelens")

    def run(algorithm: str, **parameters: object) -> dict[str, object]:
        start = time.perf_counter()
        found = results(qgis.run(f"floelens:{algorithm}", **parameters))
        print(f"{algorithm:<16}{time.perf_counter() - start:7.1f} s", flush=True)
        return found

    chart = concentration_path(DATA)
    with rasterio.open(chart) as raster:
        truth = raster.read(1)
    water = copied(chart, folder / "water.tif", np.where(truth <= 100, 0, truth)[None], ("concentration",))
    amsr2 = write_brightness_temperatures(DATA, folder / "amsr2.tif")
    with rasterio.open(amsr2) as raster:
        measured, names = raster.read(), raster.descriptions
    mean = np.broadcast_to(measured.mean(axis=(1, 2), keepdims=True), measured.shape).astype("float32")
    held = copied(amsr2, folder / "amsr2_mean.tif", mean, names)
    land = copied(chart, folder / "land.tif", (truth == 254).astype("uint8")[None], ("land",))
    for name, followed in (("sar", chart), ("sar_water", water)):
        run("simulatescene", SEED=SEED, CONCENTRATION=followed, SAR=folder / f"{name}.tif")

    distance_km = ndimage.distance_transform_edt(truth != 254) * 0.08
    for title, sar, mwr in (
        ("Real AMSR2, SAR simulated after DMI's concentration", "sar", amsr2),
        ("Control: SAR of open water everywhere", "sar_water", amsr2),
        ("Control: radiometry held at its scene mean", "sar", held),
    ):
        output = folder / "concentration.tif"
        run("predict", SAR=folder / f"{sar}.tif", MWR=mwr, LAND=land, MODEL=MODEL, OUTPUT=output)
        with rasterio.open(output) as raster:
            table(title, raster.read(1), truth, distance_km)
    inputs = {"SAR": folder / "sar.tif", "MWR": amsr2, "LAND": land}
    run("predict", **inputs, MODEL=MODEL, OUTPUT=folder / "concentration.tif")
    found = run(
        "relevance",
        **inputs,
        MODEL=MODEL,
        SAR_RELEVANCE=folder / "relevance_sar.tif",
        MWR_RELEVANCE=folder / "relevance_mwr.tif",
        REPORT=folder / "relevance.html",
    )
    print(f"relative residual of the relevance: {found['RELATIVE_RESIDUAL']}")
    for model, extra in ((MODEL, {}), (MODEL, {"LABELS": chart}), ("aspp-icetype-sim", {})):
        name = f"zscores_{model}{'_labels' if extra else ''}"
        run(
            "zscores",
            **inputs,
            **extra,
            MODEL=model,
            OUTPUT=folder / f"{name}.csv",
            REPORT=folder / f"{name}.html",
            ZONE_ZSCORES=folder / f"{name}.gpkg",
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
