"""Faithfulness of a relevance map: what a run of relevance does beside its maps when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...ground.protocols import Progress
from ...io.scene.reader import Scene

if TYPE_CHECKING:
    from ...core.faithfulness.blocks import BlockRelevance
    from ...core.relevance.methods import Method
    from ...core.relevance.run import RelevanceResult
    from ...core.streaming.runner import Runner
    from ...core.target.target import Seeding

# Side of a block in pixels, or as many whole radiometer cells as come closest.
BLOCK_SIDE = 50
# Of the progress: what the map takes, roughly; the rest is for deletion and insertion.
MAP_SHARE = 0.2


def block_relevance(runner: Runner, scene: Scene, seeding: Seeding) -> BlockRelevance:
    """Return the sink that adds relevance up by blocks while the map is made."""
    from ...core.faithfulness.blocks import BlockGrid, BlockRelevance, whole_cells

    side = whole_cells(BLOCK_SIDE, runner.ratio)
    grid = BlockGrid(scene.region, side, runner.ratio)
    return BlockRelevance(grid, seeding, runner.radius, len(runner.fine_channels))


def follow_blocks(
    runner: Runner,
    scene: Scene,
    seeding: Seeding,
    blocks: BlockRelevance,
    result: RelevanceResult,
    method: Method,
    memory_mib: float,
    progress: Progress,
) -> dict:
    """Return curves and areas of deletion and insertion as plain data.

    Parameters
    ----------
    runner, scene, seeding : Runner, Scene, Seeding
        What was explained, and by what.
    blocks : BlockRelevance
        The sums of the fine map by blocks; those of the cells are added here.
    result : RelevanceResult
        Of the run that made the map.
    method : Method
        Its baseline and its seed are taken.
    memory_mib, progress
        As everywhere.
    """
    from ...core.faithfulness.curves import Control
    from ...core.faithfulness.run import plan_faithfulness, run_faithfulness

    blocks.add_cells(result.coarse_relevance)
    plan = plan_faithfulness(runner, scene, scene.region, memory_mib)
    control = Control(seed=method.seed)
    faithfulness = run_faithfulness(runner, scene, plan, seeding, blocks, progress, control, method.baseline)
    return faithfulness.as_dict()
