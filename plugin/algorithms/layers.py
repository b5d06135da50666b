"""How results look once QGIS has loaded them.

Processing ignores the style beside a file that a tool has just made. A post-processor, called in
the main thread when the layer is in the project, loads that style, puts the layers of a scene into
one group, and gives a telling name where the person has not given one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from qgis.core import QgsProcessingContext, QgsProcessingLayerPostProcessorInterface

# QGIS keeps only a C++ pointer to a post-processor: without a reference in Python it dies before use.
_ALIVE: deque = deque(maxlen=256)


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
    """

    def __init__(self, description: str, name: str, group: str) -> None:
        super().__init__()
        self._description = description
        self._name = name
        self._group = group

    def postProcessLayer(self, layer, context, feedback) -> None:  # noqa: N802
        """Dress `layer`; called by QGIS."""
        layer.loadDefaultStyle()
        if layer.name() == self._description and self._name:
            layer.setName(self._name)
        project = context.project() or layer.project()
        if project is not None and self._group:
            _into_group(layer, project.layerTreeRoot(), self._group)
        layer.triggerRepaint()


def dress(context: QgsProcessingContext, destination: str, description: str, name: str, group: str) -> bool:
    """Have the layer of `destination` dressed when it is loaded; return whether it will be."""
    if not context.willLoadLayerOnCompletion(destination):
        return False
    details = context.layerToLoadOnCompletionDetails(destination)
    if hasattr(details, "groupName") and not details.groupName:  # QGIS 3.32 and later group by themselves
        details.groupName = group
        group = ""
    dresser = Dresser(description, name, group)
    _ALIVE.append(dresser)
    details.setPostProcessor(dresser)
    return True


def layer_name(parts: Iterable[object]) -> str:
    """Return a layer's name from scene, model, product and class, leaving out what is empty."""
    return " · ".join(str(part) for part in parts if part not in (None, ""))


def _into_group(layer, root, name: str) -> None:
    """Move a layer from the top of the tree into the group `name`; leave one that a person has grouped."""
    node = root.findLayer(layer.id())
    if node is None or node.parent() is not root:
        return
    group = root.findGroup(name) or root.insertGroup(0, name)
    group.insertChildNode(0, node.clone())
    root.removeChildNode(node)
