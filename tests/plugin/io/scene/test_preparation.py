"""SAR that was prepared otherwise than that of the training is named, with what differs and how to mend it."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import rasterio
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.ground.paths import MODELS
from floelens.plugin.io.files.raster import open_raster
from floelens.plugin.io.scene.preparation import preparation_warnings
from floelens.plugin.networks.card import ModelCard

GRD = {"FLOELENS_PRODUCT": "Sentinel-1 GRD"}


@pytest.fixture(scope="module")
def card() -> ModelCard:
    card = ModelCard.from_json(MODELS / "aspp-concentration-sim")
    return dataclasses.replace(card, noise_correction="nersc", multilook=2, pixel_size_m=80.0)


def warnings_of(folder, card, tags, band_tags=None, size=80.0) -> list[str]:
    path = folder / "sar.tif"
    with rasterio.open(path, "w", driver="GTiff", width=4, height=4, count=2, dtype="float32") as raster:
        raster.write(np.zeros((2, 4, 4), np.float32))
        raster.descriptions = ("hh", "hv")
        raster.update_tags(**tags)
        raster.update_tags(2, **(band_tags or {}))
    with open_raster(str(path)) as opened:
        return preparation_warnings(card, opened, size)


@pytest.mark.parametrize(
    ("tags", "band_tags", "size", "words"),
    [
        ({**GRD, "FLOELENS_NOISE_CORRECTION": "nersc", "FLOELENS_MULTILOOK": "2"}, {}, 80.0, []),
        ({}, {}, 80.0, []),
        ({"FLOELENS_NOISE_CORRECTION": "esa"}, {}, 80.0, ["as ESA does.*NOISE=nersc"]),
        ({}, {"noise_correction": "ESA"}, 80.0, ["as ESA does"]),
        ({}, {"noise_correction": "NERSC"}, 80.0, []),
        ({**GRD, "FLOELENS_MULTILOOK": "4"}, {}, 160.0, ["160.0 m", "4 x 4 .* 2 x 2.*MULTILOOK=2"]),
        ({"FLOELENS_PRODUCT": "AI4Arctic", "FLOELENS_MULTILOOK": "1"}, {}, 80.0, []),
    ],
)
def test_what_differs_is_said_and_nothing_else(tmp_path, card, tags, band_tags, size, words):

    found = warnings_of(tmp_path, card, tags, band_tags, size)
    assert len(found) == len(words)
    assert all(re.search(pattern, text) for pattern, text in zip(words, found))


def test_a_card_that_says_nothing_of_its_noise_fits_any(tmp_path, card):
    silent = dataclasses.replace(card, noise_correction="", multilook=0)
    assert not warnings_of(
        tmp_path, silent, {**GRD, "FLOELENS_NOISE_CORRECTION": "esa", "FLOELENS_MULTILOOK": "9"}
    )


def test_the_fields_are_kept_in_a_card_and_left_out_where_nothing_is_said(card):
    assert ModelCard.from_json(card.to_dict()).noise_correction == "nersc"
    silent = dataclasses.replace(card, noise_correction="", multilook=0)
    assert not {"noise_correction", "multilook"} & silent.to_dict().keys()
    with pytest.raises(ModelError, match="noise_correction"):
        ModelCard.from_json({**card.to_dict(), "noise_correction": "JPL"})
