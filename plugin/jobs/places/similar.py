"""The places of a scene that its network sees most like a given one; the scene is looked at point by point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...io.environment.crs import geodesic_length
from ...io.environment.gdal_state import bounded_block_cache
from ...report.places.answer import PlaceAnswer, SimilarPlace
from .loaded import LoadedScene

if TYPE_CHECKING:
    from ...core.places.similar import Block

NUMBER = 3  # places that are shown


class SimilarPlaces:
    """Looks at points of a scene one after the other, and then finds those that are like a place.

    All of it is used by the thread that opened the scene. It keeps some hundred numbers a point, of at most 1,024
    points.

    Parameters
    ----------
    loaded : LoadedScene
        The scene and its network.
    """

    def __init__(self, loaded: LoadedScene) -> None:
        from ...core.places.similar import points

        self._loaded = loaded
        usable = loaded.runner.has_components
        self._left = list(reversed(points(loaded.runner, loaded.scene))) if usable else []
        self._all = len(self._left)
        self._blocks: list[Block] = []

    @property
    def possible(self) -> bool:
        """Whether the network has components, and sees little enough at a point."""
        return self._all > 0

    @property
    def share(self) -> float:
        """How much of the scene has been looked at, 0 to 1."""
        return 1.0 - len(self._left) / self._all if self._all else 1.0

    def look(self) -> bool:
        """Look at the next point, return whether there are more."""
        from ...core.places.similar import block_around, look

        if self._left:
            loaded = self._loaded
            window = block_around(*self._left.pop(), loaded.scene)
            with bounded_block_cache():  # points lie all over the scene: GDAL would keep half of it
                block = look(loaded.runner, loaded.scene, loaded.seeding, window)
            if block is not None:
                self._blocks.append(block)
        return bool(self._left)

    def find(self, answer: PlaceAnswer) -> tuple[SimilarPlace, ...]:
        """Return the places most like that of an answer, the most similar first, of what has been looked at.

        Places whose receptive fields overlap are one and the same place.
        """
        from ...core.places.similar import block_around, look, most_similar

        if not self._blocks:
            return ()
        loaded, position = self._loaded, answer.position
        window = block_around(position.row, position.col, loaded.scene, position.window)
        place = look(loaded.runner, loaded.scene, loaded.seeding, window)
        if place is None:
            return ()
        found = most_similar(place, self._blocks, loaded.runner.radius, NUMBER)
        similar = []
        for block, distance in found:
            lon, lat, _, _ = loaded.middle(block.window)
            km = geodesic_length(position.lon, position.lat, lon, lat) / 1000.0
            similar.append(SimilarPlace(lon, lat, distance, loaded.shown(block.probabilities), float(km)))
        return tuple(similar)
