"""Sub-swaths of a SAR raster, from its tag or from incidence angles."""

from __future__ import annotations

import numpy as np
from floelens.plugin.io.scene.sub_swaths import TAG, SubSwaths, tag_text


def test_a_tag_names_sub_swaths_and_the_angles_between_them():
    text = tag_text(("IW1", "IW2", "IW3"), (36.5, 41.847))
    assert text == "IW1 36.50 IW2 41.85 IW3"
    swaths = SubSwaths.of({TAG: text, "FLOELENS_MODE": "IW"})
    assert swaths == SubSwaths(("IW1", "IW2", "IW3"), (36.5, 41.85), declared=True)
    np.testing.assert_array_equal(
        swaths.numbers(np.array([30.0, 36.49, 36.5, 46.0, np.nan, 0.0])), [1, 1, 2, 3, np.nan, np.nan]
    )


def test_without_a_tag_those_of_extra_wide_swath_are_taken_and_none_of_another_mode():
    swaths = SubSwaths.of({TAG: "EW1 x EW2"})
    assert not swaths.declared
    np.testing.assert_array_equal(swaths.numbers(np.array([20, 30, 36, 40, 45.0])), [1, 2, 3, 4, 5])
    assert SubSwaths.of({"FLOELENS_MODE": "IW"}) is None
