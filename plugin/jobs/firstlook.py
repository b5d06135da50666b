"""*Try it*: several simulated scenes, what a network maps on the first one, and why; all of it in one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..ground.protocols import Part, Progress
from .common.inputs import SceneInputs
from .predict import Predict
from .relevance import Relevance
from .simulate import SimulateScene
from .zscores import ZScores

MODEL = "aspp-concentration-sim"
SEEDS = (7, 21, 6, 10)  # with ice and open water; errors of Z-scores need several scenes
SIZE = 500  # pixels along a side


@dataclass(frozen=True)
class FirstLook:
    """Simulate scenes, map the first one and explain the map.

    Parameters
    ----------
    folder : str
        Where all results go; made where it is missing.
    size : int
        Rows and columns of a scene.
    seeds : tuple of int
        One a scene.
    """

    folder: str
    size: int = SIZE
    seeds: tuple[int, ...] = SEEDS

    def run(self, progress: Progress) -> dict[str, str]:
        """Write everything and return the paths: SAR, MWR, CHART, OUTPUT, SAR_RELEVANCE, MWR_RELEVANCE and reports."""
        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)

        def at(name: str) -> str:
            return str(folder / name)

        steps = iter(range(2 * len(self.seeds) + 2))
        count = 2 * len(self.seeds) + 2

        def part() -> Part:
            step = next(steps)
            return Part(progress, step / count, (step + 1) / count)

        scenes, states = {}, []
        for seed in self.seeds:
            scenes[seed] = SimulateScene(
                seed=seed,
                rows=self.size,
                cols=self.size,
                georeferencing="projected",
                sar=at(f"sar_{seed}.tif"),
                mwr=at(f"mwr_{seed}.tif"),
                chart=at(f"chart_{seed}.tif"),
            ).run(part())
        first, *others = self.seeds
        shared: dict[str, Any] = {"model": MODEL, "channel_method": "gated", "clusters": "scenes"}
        for seed in others:
            state = at(f"zscores_{seed}.npz")
            scene, labels = _inputs(scenes[seed]), str(scenes[seed]["CHART"])
            table = at(f"zscores_{seed}.csv")
            ZScores(scene=scene, labels=labels, output=table, state=state, **shared).run(part())
            states.append(state)
        scene, chart = _inputs(scenes[first]), str(scenes[first]["CHART"])
        report = ZScores(
            scene=scene,
            labels=chart,
            state_in=tuple(states),
            refit=True,
            output=at("zscores.csv"),
            report=at("zscores.html"),
            **shared,
        ).run(part())
        ice = Predict(scene=scene, model=MODEL, output=at("concentration.tif")).run(part())
        evidence = Relevance(
            scene=scene,
            model=MODEL,
            sar_relevance=at("relevance_sar.tif"),
            mwr_relevance=at("relevance_mwr.tif"),
            report=at("relevance.html"),
            report_json=at("relevance.json"),
        ).run(part())
        made = {**scenes[first], **ice, **evidence, "ZSCORES_REPORT": report["REPORT"]}
        made["REPORT_JSON"] = at("relevance.json")
        return {name: str(value) for name, value in made.items()}


def _inputs(scene: dict[str, object]) -> SceneInputs:
    return SceneInputs(str(scene["SAR"]), str(scene["MWR"]))
