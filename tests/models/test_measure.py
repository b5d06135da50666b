"""What the network reads, measured; cards must not claim less."""

from __future__ import annotations

import pytest
import torch
from floelens.models import network
from floelens.models.aspp import AsppFusion
from floelens.models.measure import alignment, measure, parameter_counts, receptive_field
from floelens.models.standard_channels import standard_channels
from floelens.plugin.core.errors import ModelError
from model_networks import changed, make_card, random_inputs, random_network
from torch import nn
from torch.nn import functional


@pytest.mark.parametrize(
    ("variant", "count"),
    [("fusion", 28_191), ("interpretability_small", 22_183), ("interpretability_large", 31_367)],
)
def test_parameters_with_batch_norm_statistics_are_those_of_the_paper(variant, count):
    total, trainable = parameter_counts(AsppFusion(variant=variant))
    assert total == count
    assert total - trainable == 2 * (AsppFusion(variant=variant).widths.skip + 18)


@pytest.mark.parametrize("variant", ["fusion", "v2"])
def test_the_card_of_the_fusion_network_tells_what_is_measured(variant):
    card = make_card(variant, ratio=10)
    module = network.build(card)
    result = measure(card, module)
    # 60 pixels, one more to the lower right: the even pools are not symmetric.
    assert (result.field.up, result.field.down) == (29, 30)
    assert (result.field.left, result.field.right) == (29, 30)
    assert result.field.radius == card.receptive_field_radius == 30
    assert result.alignment == card.alignment == 10
    assert result.field.cells == (1 if variant == "v2" else 0)
    assert result.mismatches(card) == ()


def test_measuring_leaves_the_network_as_it_was():
    card = make_card(ratio=10)
    module = network.build(card)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    measure(card, module)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize(("branch", "extent"), [(0, 18), (1, 24), (2, 36), (3, 60)])
def test_each_scale_reads_the_extent_of_the_facts(branch, extent):
    module = network.build(make_card(ratio=10))
    module.scales = nn.ModuleList(scale for i, scale in enumerate(module.scales) if i == branch)
    module.pools = nn.ModuleList(pool for i, pool in enumerate(module.pools) if i == branch)
    module.output = nn.Conv2d(14 + 14 + 14, 1, 1)
    field = receptive_field(module, make_card(ratio=10))
    assert field.left + 1 + field.right == extent
    assert field.up + 1 + field.down == extent


def test_perturbed_pixels_reach_exactly_as_far_as_measured():
    network_ = random_network("interpretability_small", ratio=10)
    fine, coarse = random_inputs(100, 100, 10)
    changed_fine = fine.clone()
    changed_fine[:, :, 50, 50] += 5
    reached = (network_(changed_fine, coarse) - network_(fine, coarse)).abs()[0, 0].nonzero()
    # Pixel 50 is read from as far as 30 to the upper left and 29 to the lower right.
    assert reached.amin(0).tolist() == [20, 20]
    assert reached.amax(0).tolist() == [79, 79]


class Strided(nn.Module):
    """A network that halves its grid twice: its windows move by four pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 1, 4, stride=4)
        self.output = nn.Conv2d(1, 1, 1)

    def forward(self, fine, coarse):
        return functional.interpolate(self.output(self.down(fine)), size=fine.shape[-2:], mode="nearest")


class Global(nn.Module):
    """A network that looks at the whole scene."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Conv2d(1, 1, 1)

    def forward(self, fine, coarse):
        return self.output(fine - fine.mean((2, 3), keepdim=True) * 0.5)


def test_a_stride_shows_in_the_alignment_and_a_card_that_hides_it_is_told():
    card = changed(make_card(channels=standard_channels(("hh",))), alignment=8, receptive_field_radius=3)
    torch.manual_seed(0)
    module = Strided()
    field = receptive_field(module, card)
    assert field.radius == 3
    assert alignment(module, card, field) == 4
    wrong = changed(card, alignment=6, receptive_field_radius=2)
    assert alignment(module, wrong, field) == 4
    told = " ".join(measure(wrong, module).mismatches(wrong))
    assert "radius of 2 pixels; measured are 3" in told
    assert "alignment of 6 pixels; measured are 4" in told


def test_a_network_that_looks_at_everything_is_refused(monkeypatch):
    from floelens.models import measure as module

    monkeypatch.setattr(module, "_LARGEST_FIELD", 128)
    card = make_card(channels=standard_channels(("hh",)))
    with pytest.raises(ModelError, match="cannot be run in tiles"):
        receptive_field(Global(), card)
