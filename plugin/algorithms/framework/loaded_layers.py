"""The layers that QGIS loads for one run: they are closed again, others of the same context never.

QGIS keeps a layer that it loaded from a path for as long as the context lives, and its pool of connections holds
the file for a minute more, once a thread (QGIS's issue 36728): meanwhile Windows neither replaces nor deletes it.
"""

from __future__ import annotations

# An attribute of the context's Python object: its layers before the first check.
_KNOWN = "floelens_known_layers"


def note_layers(context) -> None:
    """Remember which layers a context holds before anything is loaded for a run; earlier notes stand."""
    if not hasattr(context, _KNOWN):
        setattr(context, _KNOWN, frozenset(context.temporaryLayerStore().mapLayers()))


def forget_layers(context) -> None:
    """End a run: what the context holds now is not its own any more."""
    if hasattr(context, _KNOWN):
        delattr(context, _KNOWN)


def release(context, layer) -> None:
    """Close what QGIS keeps open of a layer that has been read; the layer too, if it was loaded for this run."""
    store = context.temporaryLayerStore()
    if layer is None or layer.id() not in store.mapLayers():
        return  # a layer of the project
    layer.dataProvider().reloadData()  # closes idle connections of the pool
    if layer.id() not in getattr(context, _KNOWN, {layer.id()}):
        store.removeMapLayer(layer.id())


def close_loaded(context) -> None:
    """Close the layers loaded for a failed run: a script's frame, and with it its context, is never freed."""
    store = context.temporaryLayerStore()
    layers = store.mapLayers()
    known = getattr(context, _KNOWN, frozenset(layers))
    store.removeMapLayers([layer for name, layer in layers.items() if name not in known])
