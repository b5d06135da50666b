"""A scene: SAR, radiometry and whatever else a network reads, window by window.

The SAR raster's grid is the scene's. Coarse rasters are small: they are held in memory on the grid
of the MWR raster, and brought to the network's cells by a :class:`~.sampler.Sampler`; of fine
rasters only the window asked for is ever read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from ...ground.errors import SceneError
from ...ground.protocols import Patch
from ...ground.window import Window
from ...networks.card import ModelCard
from ..files.raster import Raster, file_of, open_raster
from ..geometry.coast import LandDistance
from ..geometry.grid import Grid
from ..geometry.registration import RegisteredRaster
from ..geometry.vector import Polygons
from ..geometry.zones import PolygonIndex
from .acquisition import delay_warning, time_in_name
from .channels import choose_bands
from .checks import SceneChecks
from .coarse import CoarseChannels, open_coarse
from .made import MadeChannels
from .preparation import preparation_warnings
from .raster_roles import BandChoice, RasterRole


@dataclass(frozen=True)
class _FineBands:
    """Bands of one raster, or channels that are made, and the channels of the patch they become."""

    source: RegisteredRaster | MadeChannels
    bands: list[int]
    channels: list[int]


class Scene:
    """The rasters of one scene; made by :meth:`open`, a context manager.

    Attributes
    ----------
    rows, cols : int
        Size of the SAR raster.
    grid : Grid
        Its geometry.
    name : str
        Name of its file, without folder and extension.
    start_time : str or None
        Start of the acquisition, ISO 8601.
    tags : dict
        Tags of the MWR and SAR rasters.
    region : Window
        The pixels asked for.
    sampler, coarse_grid, coarse_values
        How the MWR raster reaches the network's cells; its own grid; (coarse channel, row, column)
        in float32 on that grid, NaN where invalid. None where the network has no coarse channel.
    notes : tuple of str
        What was converted or assumed on the way in.
    warnings : tuple of str
        What a person should know before they trust the result.
    """

    def __init__(
        self,
        card: ModelCard,
        grid: Grid,
        region: Window,
        fine: list[_FineBands],
        coarse: CoarseChannels | None,
        land: PolygonIndex | RegisteredRaster | None,
        rasters: Sequence[Raster],
        checks: SceneChecks,
    ) -> None:
        self.card, self.grid, self.region = card, grid, region
        self.rows, self.cols = grid.rows, grid.cols
        self.ratio = card.ratio
        self._fine, self._land, self._rasters = fine, land, list(rasters)
        self.coarse_grid = coarse.grid if coarse else None
        self.coarse_values = coarse.values if coarse else None
        self.sampler = coarse.sampler if coarse else None
        self._cells = coarse.sampler.forward(coarse.values).astype(np.float32) if coarse else None
        self._checks = checks
        self.notes: tuple[str, ...] = ()
        self.warnings: tuple[str, ...] = ()
        self.name = ""
        self.start_time: str | None = None
        self.tags: dict[str, str] = {}

    @classmethod
    def open(
        cls,
        card: ModelCard,
        sar: str,
        mwr: str | None = None,
        ancillary: Sequence[str] = (),
        land: str | Polygons | None = None,
        channels: str = "",
        region: Polygons | None = None,
        accept_range: bool = False,
        accept_delay: bool = False,
    ) -> Scene:
        """Open the rasters that the network of `card` reads.

        Parameters
        ----------
        card : ModelCard
            Which channels, on which ratio.
        sar : str
            Raster of the fine channels.
        mwr : str, optional
            Raster of the radiometer, on any grid.
        ancillary : sequence of str
            More rasters, on the SAR raster's grid or any other.
        land : str or Polygons, optional
            A raster (not zero = land; no data = no land) on any grid, or polygons.
        channels : str
            Bands by hand, ``hh=1,hv=2``.
        region : Polygons, optional
            What to process: the rectangle of pixels around it, snapped outward to whole cells.
        accept_range : bool
            Whether values that fit no unit of their channel, or are impossible too often, are a warning and no error.
        accept_delay : bool
            Whether more than a day between SAR and radiometer is a warning and no error.

        Raises
        ------
        SceneError
            A raster cannot be read, has no georeferencing or lacks a channel; one is a result of a
            network (but a prediction among the ancillary ones); they do not overlap; nothing in the region is valid;
            or the values cannot be those of the channels.
        ParameterError
            `channels` names what there is not.
        """
        opened: list[Raster] = []
        try:
            checks = SceneChecks(card, accept_range)
            return cls._open(opened, checks, sar, mwr, ancillary, land, channels, region, accept_delay)
        except BaseException:
            for raster in opened:
                raster.close()
            raise

    @classmethod
    def _open(
        cls,
        opened: list[Raster],
        checks: SceneChecks,
        sar: str,
        mwr: str | None,
        ancillary: Sequence[str],
        land: str | Polygons | None,
        channels: str,
        region: Polygons | None,
        accept_delay: bool,
    ) -> Scene:
        card = checks.card

        def opening(path: str) -> Raster:
            opened.append(open_raster(path))
            return opened[-1]

        roles = [RasterRole(opening(sar), "sar")]
        if mwr:
            roles.append(RasterRole(opening(mwr), "mwr"))
        roles += [RasterRole(opening(path), "ancillary") for path in ancillary]
        _check_measured(roles)
        grid = Grid.from_raster(roles[0].raster)
        choice = choose_bands(card, roles, channels)
        chosen = choice.bands
        checks.bands = list(choice.for_tags)
        window = _region_window(region, grid, card.ratio, sar)
        fine = _fine_bands(checks, roles, chosen, grid, window)
        if choice.made:
            made = MadeChannels.of(choice.made, roles, grid)
            positions = [card.fine_channels.index(channel) for channel in choice.made]
            fine.append(_FineBands(made, list(range(len(positions))), positions))
            checks.notes.append(made.note)
        coarse = open_coarse(checks, roles, chosen, grid, window)
        checks.compare({name: roles[chosen[name].raster].raster.path for name in choice.by_order})
        if isinstance(land, Polygons):
            mask: PolygonIndex | RegisteredRaster | None = PolygonIndex(land, grid)
        else:
            mask = RegisteredRaster(opening(land), grid) if land else None
        scene = cls(card, grid, window, fine, coarse, mask, opened, checks)
        scene.name = Path(file_of(sar)).stem
        scene.tags = _tags(roles)
        scene.start_time = scene.tags.get("start_time") or time_in_name(scene.name)
        if scene.start_time:
            scene.tags["start_time"] = scene.start_time
        late = [delay_warning(roles[0].raster, roles[1].raster, accept_delay)] if mwr else []
        scene.notes = tuple(checks.notes)
        scene.warnings = (
            *choice.warnings,
            *checks.warnings,
            *filter(None, late),
            *preparation_warnings(card, roles[0].raster, grid.pixel_size()),
            *_unused_warnings(card, roles, chosen),
        )
        scene._check_not_empty(sar)
        return scene

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all files."""
        for raster in self._rasters:
            raster.close()

    def conclude(self) -> tuple[list[str], list[str]]:
        """Return notes and warnings of the impossible values that were read; the scene keeps the warnings.

        To be called when everything is read, before results get their names.

        Raises
        ------
        SceneError
            They are too many.
        """
        notes, warnings = self._checks.conclude()
        self.warnings = tuple(dict.fromkeys((*self.warnings, *warnings)))
        return notes, warnings

    def remark(self, tag: str, text: str, warning: str = "") -> None:
        """Add a tag to all results, and a warning to reports."""
        self._checks.remarks[tag] = text
        if warning:
            self.warnings = tuple(dict.fromkeys((*self.warnings, warning)))

    def check_tags(self) -> dict[str, str]:
        """Return what the tags of results say of the checks so far; nothing where there is nothing to say."""
        return self._checks.tags()

    def read(self, window: Window) -> Patch:
        """Return the channels over `window` (aligned to the coarse ratio, inside the scene).

        Raises
        ------
        SceneError
            A file is damaged.
        ValueError
            The window sticks out of the scene or does not begin at a cell.
        """
        if window.intersection(self.grid.window) != window:
            raise ValueError(f"{window} sticks out of the scene of {self.rows} x {self.cols} pixels")
        if window.row % self.ratio or window.col % self.ratio:
            raise ValueError(f"{window} does not begin at a multiple of {self.ratio}")
        if len(self._fine) == 1:  # it holds all channels, in their order
            fine = self._fine[0].source.read(self._fine[0].bands, window)
        else:
            fine = np.empty((len(self.card.fine_channels), window.rows, window.cols), dtype=np.float32)
            for part in self._fine:
                fine[part.channels] = part.source.read(part.bands, window)
        valid = np.isfinite(fine).all(axis=0)
        cells = window.coarser(self.ratio)
        coarse = np.empty((0, cells.rows, cells.cols), dtype=np.float32)
        if self.sampler is not None and self._cells is not None:
            rows, cols = cells.slices()
            coarse = self._cells[:, rows, cols].copy()
            cell_valid = self.sampler.cell_valid[rows, cols]
            if not cell_valid.all():
                # Columns first: rows are repeated as they lie in memory.
                wide = cell_valid.repeat(self.ratio, axis=1)[:, : window.cols]
                valid &= wide.repeat(self.ratio, axis=0)[: window.rows]
        if self.has_land:
            valid &= ~self.land(window)
        return Patch(window, fine, coarse, valid)

    @property
    def has_land(self) -> bool:
        """Whether land is known."""
        return self._land is not None

    def land(self, window: Window) -> np.ndarray:
        """Return where land is: (row, column), bool; nowhere where it is not known."""
        if self._land is None:
            return np.zeros((window.rows, window.cols), bool)
        if isinstance(self._land, PolygonIndex):
            return self._land.mask(window)
        return np.nan_to_num(self._land.read(self._land.raster.measured[:1], window)[0]) != 0

    def land_distance(self, reach_km: float) -> LandDistance | None:
        """Return distances to land, which is looked for up to `reach_km` around; None without land."""
        if self._land is None:
            return None
        land = self._land.polygons if isinstance(self._land, PolygonIndex) else self._land.raster
        return LandDistance(self.grid, land, reach_km)

    def _check_not_empty(self, sar: str) -> None:
        """Look for one valid pixel, from the middle of the region outward: mostly the first look finds it."""
        step = self.ratio * max(1, -(-512 // self.ratio))
        middle = self.region.row + self.region.rows / 2, self.region.col + self.region.cols / 2

        def distance(part: Window) -> float:
            return abs(part.row + part.rows / 2 - middle[0]) + abs(part.col + part.cols / 2 - middle[1])

        for part in sorted(self.region.split(step, step), key=distance):
            if self.read(part).valid.any():
                return
        where = "the extent in " if self.region != self.grid.window else ""
        raise SceneError(
            f"No pixel of {where}{sar} can be mapped: everywhere a channel has no data or LAND covers it. "
            "Check the rasters' nodata values, LAND and EXTENT."
        )


def check_headers(
    card: ModelCard, sar: str, mwr: str | None, ancillary: Sequence[str], channels: str
) -> None:
    """Refuse rasters that lack a channel of the card, by their headers alone; no value is read.

    Parameters are those of :meth:`Scene.open`, which checks the same again.

    Raises
    ------
    SceneError
        A raster cannot be opened, is the result of a network, lacks a channel, or does not say its date where the
        model reads the month.
    ParameterError
        `channels` names what there is not.
    """
    with contextlib.ExitStack() as opened:
        roles = [
            RasterRole(opened.enter_context(contextlib.closing(open_raster(path))), role)
            for path, role in ((sar, "sar"), (mwr, "mwr"), *((path, "ancillary") for path in ancillary))
            if path
        ]
        _check_measured(roles)
        made = choose_bands(card, roles, channels).made
        if made:
            MadeChannels.of(made, roles, Grid.from_raster(roles[0].raster))


def _check_measured(roles: Sequence[RasterRole]) -> None:
    """Refuse results of a network, whose bands are named like what was measured: their map would look right.

    What one network predicts may be an ancillary channel of another.
    """
    for item in roles:
        tags, name = item.raster.tags, item.role.upper()
        product = tags.get("FLOELENS_PRODUCT", "a result")
        if "FLOELENS_MODEL" not in tags or (name == "ANCILLARY" and product == "prediction"):
            continue
        made_of = f": {tags[f'FLOELENS_{name}']}" if f"FLOELENS_{name}" in tags else ""
        right = "rasters of what was measured or predicted"
        if name != "ANCILLARY":
            right = f"the raster it was computed from{made_of}"
        raise SceneError(
            f"{item.raster.path} holds what FloeLens computed ({product} of model '{tags['FLOELENS_MODEL']}'), not "
            f"what was measured. Choose as {name} {right}."
        )


def _fine_bands(
    checks: SceneChecks,
    roles: Sequence[RasterRole],
    chosen: Mapping[str, BandChoice],
    grid: Grid,
    region: Window,
) -> list[_FineBands]:
    parts = []
    for place, role in enumerate(roles):
        wanted = [
            (position, channel, chosen[channel.name].band)
            for position, channel in enumerate(checks.card.fine_channels)
            if channel.name in chosen and chosen[channel.name].raster == place
        ]
        if wanted:
            source = RegisteredRaster(role.raster, grid, "bilinear")
            bands = [(channel, band) for _, channel, band in wanted]
            # Values are judged and converted before anything is interpolated between them.
            own = region if source.same else source.own.window
            source.raster = cast(Raster, checks.measure(role.raster, bands, own))
            parts.append(
                _FineBands(source, [band for _, band in bands], [position for position, _, _ in wanted])
            )
    return parts


def _region_window(region: Polygons | None, grid: Grid, ratio: int, sar: str) -> Window:
    if region is None:
        return grid.window
    window = PolygonIndex(region, grid).window
    if window.empty:
        raise SceneError(f"EXTENT does not overlap {sar}. Choose an extent inside of the scene.")
    return window.snapped(ratio, grid.window)


def _tags(roles: Sequence[RasterRole]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for role in ("mwr", "sar"):
        for item in roles:
            if item.role == role:
                tags.update(item.raster.tags)
    return tags


def _unused_warnings(
    card: ModelCard, roles: Sequence[RasterRole], chosen: Mapping[str, BandChoice]
) -> list[str]:
    used = {choice.raster for choice in chosen.values()}
    return [
        f"{role.raster.path} is not used: the model '{card.id}' reads no channel of it."
        for place, role in enumerate(roles)
        if place not in used
    ]
