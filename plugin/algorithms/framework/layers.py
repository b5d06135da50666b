"""How results look once QGIS has loaded them.

Processing ignores the style beside a file that a tool has just made. A post-processor, called in
the main thread when the layer is in the project, loads that style, puts the layers of a scene into
one group in an order of ours, and gives a descriptive name where the person has not given one. Of layers
that would hide each other one is shown; the others wait unticked below it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from qgis.core import (
    QgsLayerTree,
    QgsLayerTreeGroup,
    QgsLayerTreeLayer,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsSettings,
)

# QGIS keeps only a C++ pointer to a post-processor: without a reference in Python it dies before use.
_ALIVE: deque = deque(maxlen=256)
_LONGEST_NAME = 40
_TIME = re.compile(r"(?<!\d)(20\d\d|19\d\d)([01]\d)([0-3]\d)T?([0-2]\d)([0-5]\d)([0-5]\d)?(?!\d)")
_SATELLITE = re.compile(r"(?<![A-Z0-9])(S1[A-D]|GW1AM2)(?![A-Z0-9])")


@dataclass(frozen=True)
class Look:
    """How the layer of one result is to look.

    Parameters
    ----------
    description : str
        The parameter's description: a layer still called so has not been named by a person.
    name : str
        The descriptive name; none where empty.
    group : str
        Group of the layer tree; none where empty.
    styled : bool
        Whether a person has chosen a style for this output, which then stays.
    rank : int
        Its place among the layers of the run, from 0 at the top.
    shown : bool
        Whether its box in the layer panel is ticked.
    """

    description: str
    name: str
    group: str = ""
    styled: bool = False
    rank: int = 0
    shown: bool = True


@dataclass
class RunLayers:
    """The layers that one run has loaded so far.

    Attributes
    ----------
    ranks : dict
        Rank of each, by the layer's id.
    """

    ranks: dict[str, int] = field(default_factory=dict)

    def place(self, group: QgsLayerTreeGroup, rank: int) -> int:
        """Return where a layer of a rank goes in a group: below those of lower rank of this run, above all others."""
        place = 0
        for number, node in enumerate(group.children(), start=1):
            if isinstance(node, QgsLayerTreeLayer) and self.ranks.get(node.layerId(), rank) < rank:
                place = number
        return place


def order_of(
    outputs: Sequence[str], overlays: Collection[str], tables: Collection[str]
) -> list[tuple[str, bool]]:
    """Return the outputs of a run from the top of the layer panel down, each with whether it is shown.

    Parameters
    ----------
    outputs : sequence of str
        Outputs that will be loaded, the most important first.
    overlays : collection of str
        Those that are drawn over others and hide little of them.
    tables : collection of str
        Those without geometry, which come last.
    """
    drawn = [name for name in outputs if name not in tables and name not in overlays]
    return [
        *((name, True) for name in outputs if name in overlays),
        *((name, number == 0) for number, name in enumerate(drawn)),
        *((name, True) for name in outputs if name in tables),
    ]


class LayerStyler(QgsProcessingLayerPostProcessorInterface):
    """Styles, names and groups one layer.

    Parameters
    ----------
    look : Look
        How it is to look.
    run : RunLayers
        The layers of the same run.
    """

    def __init__(self, look: Look, run: RunLayers) -> None:
        super().__init__()
        self._look = look
        self._run = run

    def postProcessLayer(  # noqa: N802
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Give `layer` its look; called by QGIS."""
        # A table has no style, and may have the name of a file that has one.
        if layer.isSpatial() and not self._look.styled:
            layer.loadDefaultStyle()
        if layer.name() == self._look.description and self._look.name:
            layer.setName(self._look.name)
        project = context.project() or layer.project()
        if project is not None:
            _when_in_tree(project.layerTreeRoot(), layer.id(), self._arrange)
        layer.triggerRepaint()

    def _arrange(self, root: QgsLayerTree, node: QgsLayerTreeLayer) -> None:
        node.setItemVisibilityChecked(self._look.shown)
        self._run.ranks[node.layerId()] = self._look.rank
        if self._look.group:
            _into_group(node, root, self._look, self._run)


def styled_by_person(algorithm: str, output: str) -> bool:
    """Return whether a person has chosen a style for an output (*Edit rendering styles for outputs*)."""
    try:
        from processing.gui.RenderingStyles import RenderingStyles
    except ImportError:  # Processing's Python plugin is not loaded
        return False
    return bool(RenderingStyles.getStyle(algorithm, output))


def style_when_loaded(
    context: QgsProcessingContext, destination: str, look: Look, run: RunLayers | None = None
) -> bool:
    """Have the layer of `destination` styled when it is loaded; return whether it will be."""
    if not context.willLoadLayerOnCompletion(destination):
        return False
    details = context.layerToLoadOnCompletionDetails(destination)
    if hasattr(details, "groupName"):  # QGIS 3.32 and later group and order by themselves
        details.groupName = details.groupName or look.group
        details.layerSortKey = -look.rank  # the highest comes to the top
        look = replace(look, group="")
    styler = LayerStyler(look, run or RunLayers())
    _ALIVE.append(styler)
    details.setPostProcessor(styler)
    return True


def layer_name(product: str, of: object = "", *origin: object) -> str:
    """Return a layer's name: what it shows, of which class or head, and where it comes from.

    What distinguishes layers comes first, since the layer panel is narrow.
    """
    subject = f"{product}: {of}" if of else product
    known = ", ".join(str(part) for part in origin if part)
    return f"{subject} ({known})" if known else subject


def short_scene(scene: str) -> str:
    """Return what the layer panel calls a scene: its time and satellite where its own name is long.

    ``S1A_EW_GRDM_1SDH_20180124T194759_20180124T194859_020293_022A39_C0A6`` is cut in the panel before
    anything in it distinguishes scenes; ``2018-01-24 19:47:59 S1A`` is not.
    """
    if len(scene) <= _LONGEST_NAME:
        return scene
    time = _TIME.search(scene)
    if time is None:
        return f"{scene[:_LONGEST_NAME]}…"
    year, month, day, hour, minute, second = time.groups()
    satellite = _SATELLITE.search(scene)
    shown = f"{year}-{month}-{day} {hour}:{minute}" + (f":{second}" if second else "")
    return f"{shown} {satellite[1]}" if satellite else shown


def _when_in_tree(
    root: QgsLayerTree, layer_id: str, act: Callable[[QgsLayerTree, QgsLayerTreeLayer], None]
) -> None:
    """Call `act` with a layer's node of the tree: now, or once QGIS has put it there (3.32 and later do so last)."""
    node = root.findLayer(layer_id)
    if node is not None:
        act(root, node)
        return

    def added(*_: object) -> None:
        node = root.findLayer(layer_id)
        if node is not None:
            root.addedChildren.disconnect(added)
            act(root, node)

    root.addedChildren.connect(added)


def _into_group(node: QgsLayerTreeLayer, root: QgsLayerTree, look: Look, run: RunLayers) -> None:
    """Move a layer into its group, unless Processing is set to put results into a group.

    QGIS puts a new layer beside the one that is selected, so that its place says nothing.
    """
    if QgsSettings().value("Processing/Configuration/RESULTS_GROUP_NAME"):  # pragma: allowlist secret
        return
    parent = node.parent()
    group = root.findGroup(look.group) or root.insertGroup(0, look.group)
    group.insertChildNode(run.place(group, look.rank), node.clone())
    parent.removeChildNode(node)  # last: a layer that is nowhere in the tree leaves the project
