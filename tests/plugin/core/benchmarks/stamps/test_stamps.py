"""A stamp changes what it says and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.core.benchmarks.stamps.images import Images
from floelens.plugin.core.benchmarks.stamps.stamps import LEAD_LENGTH, Stamp, StampSettings
from floelens.plugin.ground.errors import ParameterError
from floelens.tests.plugin.core.tiny_networks import tiny_card


def images(number: int = 6) -> Images:
    draw = np.random.default_rng(2)
    fine = draw.standard_normal((number, 2, 40, 44)).astype(np.float32)
    return Images(fine, draw.standard_normal((number, 3, 10, 11)).astype(np.float32))


@pytest.mark.parametrize(
    ("word", "channel", "change", "pixels"),
    [
        ("bright_point", 1, 9.0 / 4.5, 4),
        ("dark_lead", 0, -9.0 / 5.5, 2 * LEAD_LENGTH),
        ("mwr_offset", 1, 20.0 / 40.0, 4),
    ],
)
def test_only_the_stamped_values_differ_by_the_contrast_in_standard_deviations(word, channel, change, pixels):
    settings = StampSettings(2, 9.0, 20.0, ("btemp_6_9v",))
    stamp = Stamp.of(word, tiny_card(), settings)
    regular = images()
    stamped = regular.stamped(stamp, settings.position, 3)
    before, after = (each.coarse if stamp.coarse else each.fine for each in (regular, stamped.images))
    others = regular.fine if stamp.coarse else regular.coarse
    assert (stamped.images.fine if stamp.coarse else stamped.images.coarse) is others
    for image in range(len(regular)):
        truth = stamped.truth(image)
        assert truth[channel].sum() == truth.sum() == pixels
        difference = after[image] - before[image]
        assert np.array_equal(difference != 0, truth)
        assert difference[truth] == pytest.approx(change, rel=1e-5)
    assert len({stamped.places[image].tobytes() for image in range(len(regular))}) > 3
    again = regular.stamped(stamp, settings.position, 3)
    assert np.array_equal(again.images.fine, stamped.images.fine)


def test_centred_stamps_lie_in_the_middle_of_every_image():
    stamp = Stamp.of("bright_point", tiny_card(), StampSettings())
    places = images().stamped(stamp, "centre", 0).places
    assert (places == places[0]).all()
    assert np.argwhere(places[0]).tolist() == [[19, 21]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": 0}, "STAMP_SIZE is 0"),
        ({"contrast": 900.0}, "CONTRAST is 900"),
        ({"offset": 0.0}, "MWR_OFFSET is 0 K"),
        ({"position": "left"}, "Unknown POSITION 'left'"),
        ({"channels": ("vv",)}, "STAMP_CHANNELS names 'vv'"),
    ],
)
def test_a_stamp_that_makes_no_sense_is_a_sentence(settings, words):
    with pytest.raises(ParameterError, match=words):
        Stamp.of("bright_point", tiny_card(), StampSettings(**settings))


def test_a_stamp_for_a_sensor_that_the_network_does_not_read_is_a_sentence():
    card = tiny_card()
    card.channels = tuple(channel for channel in card.channels if channel.sensor == "sar")
    with pytest.raises(
        ParameterError, match="mwr_offset needs radiometer channels, but model 'tiny' reads none"
    ):
        Stamp.of("mwr_offset", card, StampSettings())
