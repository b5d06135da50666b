"""How results look once QGIS has loaded them.

Processing ignores the style beside a file that a tool has just made. A post-processor, called in
the main thread when the layer is in the project, loads that style, puts the layers of a scene into
one group, and gives a telling name where the person has not given one.
"""

from __future__ import annotations

import re
from collections import deque

from qgis.core import (
    QgsLayerTreeGroup,
    QgsProcessingContext,
    QgsProcessingLayerPostProcessorInterface,
    QgsSettings,
)

# QGIS keeps only a C++ pointer to a post-processor: without a reference in Python it dies before use.
_ALIVE: deque = deque(maxlen=256)
_LONGEST_NAME = 40
_TIME = re.compile(r"(?<!\d)(20\d\d|19\d\d)([01]\d)([0-3]\d)T?([0-2]\d)([0-5]\d)([0-5]\d)?(?!\d)")
_SATELLITE = re.compile(r"(?<![A-Z0-9])(S1[A-D]|GW1AM2)(?![A-Z0-9])")


class Dresser(QgsProcessingLayerPostProcessorInterface):
    """Styles, names and groups one layer.

    Parameters
    ----------
    description : str
        The parameter's description: a layer still called so has not been named by a person.
    name : str
        The telling name.
    group : str
        Group of the layer tree; none where empty.
    styled : bool
        Whether a person has chosen a style for this output, which then stays.
    """

    def __init__(self, description: str, name: str, group: str, styled: bool = False) -> None:
        super().__init__()
        self._styled = styled
        self._description = description
        self._name = name
        self._group = group

    def postProcessLayer(self, layer, context, feedback) -> None:  # noqa: N802
        """Dress `layer`; called by QGIS."""
        # A table has no style, and may have the name of a file that has one.
        if layer.isSpatial() and not self._styled:
            layer.loadDefaultStyle()
        if layer.name() == self._description and self._name:
            layer.setName(self._name)
        project = context.project() or layer.project()
        if project is not None and self._group:
            _into_group(layer, project.layerTreeRoot(), self._group)
        layer.triggerRepaint()


def styled_by_person(algorithm: str, output: str) -> bool:
    """Return whether a person has chosen a style for an output (*Edit rendering styles for outputs*)."""
    try:
        from processing.gui.RenderingStyles import RenderingStyles
    except ImportError:  # Processing's Python plugin is not loaded
        return False
    return bool(RenderingStyles.getStyle(algorithm, output))


def dress(
    context: QgsProcessingContext,
    destination: str,
    description: str,
    name: str,
    group: str,
    styled: bool = False,
) -> bool:
    """Have the layer of `destination` dressed when it is loaded; return whether it will be."""
    if not context.willLoadLayerOnCompletion(destination):
        return False
    details = context.layerToLoadOnCompletionDetails(destination)
    if hasattr(details, "groupName") and not details.groupName:  # QGIS 3.32 and later group by themselves
        details.groupName = group
        group = ""
    dresser = Dresser(description, name, group, styled)
    _ALIVE.append(dresser)
    details.setPostProcessor(dresser)
    return True


def layer_name(product: str, of: object = "", *origin: object) -> str:
    """Return a layer's name: what it shows, of which class or head, and where it comes from.

    What tells layers apart comes first, since the layer panel is narrow.
    """
    subject = f"{product}: {of}" if of else product
    known = ", ".join(str(part) for part in origin if part)
    return f"{subject} ({known})" if known else subject


def short_scene(scene: str) -> str:
    """Return what the layer panel calls a scene: its time and satellite where its own name is long.

    ``S1A_EW_GRDM_1SDH_20180124T194759_20180124T194859_020293_022A39_C0A6`` is cut in the panel before
    anything in it tells one scene from another; ``2018-01-24 19:47:59 S1A`` is not.
    """
    if len(scene) <= _LONGEST_NAME:
        return scene
    time = _TIME.search(scene)
    if time is None:
        return f"{scene[:_LONGEST_NAME]}…"
    year, month, day, hour, minute, second = time.groups()
    satellite = _SATELLITE.search(scene)
    told = f"{year}-{month}-{day} {hour}:{minute}" + (f":{second}" if second else "")
    return f"{told} {satellite[1]}" if satellite else told


def _into_group(layer, root, name: str) -> None:
    """Move a layer into the group `name`, unless Processing is set to put results into a group.

    QGIS puts a new layer beside the one that is selected, so that its place says nothing.
    """
    node = root.findLayer(layer.id())
    if node is None or QgsSettings().value("Processing/Configuration/RESULTS_GROUP_NAME"):
        return
    parent = node.parent()
    if isinstance(parent, QgsLayerTreeGroup) and parent.name() == name:
        return
    group = root.findGroup(name) or root.insertGroup(0, name)
    group.insertChildNode(0, node.clone())
    parent.removeChildNode(node)
