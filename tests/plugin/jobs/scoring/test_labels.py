"""What labels mean to a head, and what is said of those that may be no percents."""

from __future__ import annotations

import numpy as np
import pytest
from floelens.plugin.ground.errors import SceneError
from floelens.plugin.jobs.scoring.labels import LabelKind
from floelens.plugin.networks.card import Head, HeadClass

ICE = Head("ice", "sigmoid", (HeadClass("ice", 1, "#ff0000", percent=100),), unit="%")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.arange(101.0), ""),
        (np.arange(0.0, 101.0, 5.0), ""),  # a chart in %, intervals by their middle
        (np.array([0.0, 20.0, 91.5, 92.0, 13.0]), ""),  # no codes: not all are whole
        (np.array([0.0, 33.0, 50.0, 91.0]), ""),  # 33 is no code
        (np.array([0.0, 50.0, 100.0, 120.0, 254.0, 255.0, np.nan, -9999.0]), ""),  # land and gaps
        (np.array([55.0, 13.0, 35.0, 57.0, 79.0, 92.0]), "13, 57, 79 and 92, as codes of an ice chart"),
        (np.array([1.0, 80.0, 91.0, 255.0]), "1 and 91, as codes of an ice chart"),
    ],
)
def test_labels_that_may_be_no_percents_are_told(values, said):
    kind = LabelKind(ICE)
    for part in np.array_split(values.astype(np.float32), 3):
        kind.targets(part)
    warning = kind.warning("labels.tif")
    assert said in warning
    assert bool(warning) == bool(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.arange(0.0, 201.0, 2.0), "more than 16 different values above 100"),
        (100 * np.arange(101.0), "more than 16 different values above 100"),  # hundredths of %
        (np.arange(11.0), "never exceed 10.* tenths or class codes"),
        (np.linspace(0, 1, 30), "never exceed 1 .* fractions or a mask"),
    ],
)
def test_labels_that_fit_another_unit_as_well_are_refused_unless_accepted(values, said):
    for accept in (False, True):
        kind = LabelKind(ICE, accept=accept)
        kind.targets(values.astype(np.float32))
        if not accept:
            with pytest.raises(SceneError, match=said) as error:
                kind.warning("labels.tif")
            assert len(str(error.value)) < 500
        else:
            assert kind.warning("labels.tif")
    if values.max() <= 10:  # who declares % means %
        kind = LabelKind(ICE, "%")
        kind.targets(values.astype(np.float32))
        assert "are taken for %" in kind.warning("labels.tif")
