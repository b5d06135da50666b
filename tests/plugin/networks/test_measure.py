"""What the network reads, measured; cards must not claim less."""

from __future__ import annotations

import pytest
import torch
from floelens.plugin.ground.errors import ModelError
from floelens.plugin.networks import measure as module_of_measure
from floelens.plugin.networks import package as network
from floelens.plugin.networks import work_budget
from floelens.plugin.networks.aspp.definition import AsppFusion
from floelens.plugin.networks.measure import alignment, measure, parameter_counts, receptive_field
from floelens.plugin.networks.standard_channels import standard_channels
from floelens.tests.plugin.networks.networks import changed, make_card, random_inputs, random_network
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
    from floelens.plugin.networks import measure as module

    monkeypatch.setattr(module, "_LARGEST_FIELD", 128)
    card = make_card(channels=standard_channels(("hh",)))
    with pytest.raises(ModelError, match="cannot be run in tiles"):
        receptive_field(Global(), card)


def test_an_alignment_that_shares_no_factor_with_common_strides_takes_no_large_image(monkeypatch):
    """25 and 16 repeat together after 400 pixels only: squares of 1200 pixels took gigabytes."""
    card = make_card(channels=standard_channels(("hh",)))
    card = changed(card, alignment=25, receptive_field_radius=30)
    largest = []
    plain = module_of_measure._inputs

    def inputs(*given):
        fine, coarse = plain(*given)
        largest.append(fine[0, 0].numel())
        return fine, coarse

    monkeypatch.setattr(module_of_measure, "_inputs", inputs)
    result = measure(card, Wide())
    assert (result.field.up, result.field.down, result.field.left, result.field.right) == (16, 16, 15, 17)
    assert result.alignment == 1
    assert max(largest) <= 200 * 200


@pytest.mark.parametrize("alignment_", [200, 400])
def test_an_alignment_longer_than_any_that_is_tried_is_bounded_too(alignment_):
    card = changed(
        make_card(channels=standard_channels(("hh",))), alignment=alignment_, receptive_field_radius=3
    )
    torch.manual_seed(0)
    result = measure(card, Strided())
    assert result.field.radius == 3
    assert result.alignment == 4


class Wide(nn.Module):
    """A network that reads up to 16 pixels up and down, 15 to the left and 17 to the right."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(1, 2, 3, padding=16, dilation=16)
        self.output = nn.Conv2d(2, 1, 1)

    def forward(self, fine, coarse):
        return self.output(functional.pad(self.wide(fine), (0, 1))[..., 1:])


class Spent:
    """Adds up what budgets are asked for, by the size of the images."""

    def __init__(self, monkeypatch):
        self.pixels, self.passes = [], 0
        plain = work_budget.WorkBudget.spend

        def spend(budget, rows, cols, back=False):
            plain(budget, rows, cols, back)
            self.pixels.append(rows * cols)
            self.passes += rows * cols * (3 if back else 1)

        monkeypatch.setattr(work_budget.WorkBudget, "spend", spend)


@pytest.mark.parametrize(
    ("ratio", "alignment_", "measured"), [(0, 25, 1), (0, 127, 1), (0, 128, 1), (200, 200, 200), (31, 62, 31)]
)
def test_what_is_measured_of_a_right_card_takes_few_pixels(ratio, alignment_, measured, monkeypatch):
    """127 took minutes, 200 gigabytes: a pixel of this network holds about 12 kB, and 10⁵ passes a second."""
    card = make_card(ratio=ratio) if ratio else make_card(channels=standard_channels(("hh",)))
    card = changed(card, alignment=alignment_)
    spent = Spent(monkeypatch)
    result = measure(card, network.build(card))
    assert (result.field.up, result.field.down, result.field.left, result.field.right) == (29, 30, 29, 30)
    assert result.alignment == measured
    assert result.unmeasured == ()
    assert max(spent.pixels) < 150 * 150
    assert spent.passes < 600_000


@pytest.mark.parametrize(("ratio", "some"), [(500, True), (2000, False), (20_000, False)])
def test_what_takes_too_much_memory_is_left_out_and_a_sentence_tells(ratio, some, monkeypatch):
    """Whole cells on the fine grid take up to 44 GB here."""
    card = make_card(ratio=ratio)
    spent = Spent(monkeypatch)
    result = measure(card, network.build(card))
    assert max(spent.pixels, default=0) < 40_000
    assert spent.passes < 700_000
    assert (result.field is not None) == some
    sentences = " ".join(result.unmeasured)
    if some:
        assert (result.field.up, result.field.down) == (29, 30)
        assert "not measured at every place" in sentences
    assert "a test image of" in sentences
    assert "MiB of memory" in sentences
    assert (result.alignment is None) == ("alignment was not measured" in sentences)
    assert result.mismatches(card) == ()


def test_a_network_that_takes_whole_periods_alone_gets_them():
    class Long(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.output = nn.Conv2d(1, 2, 70, stride=70), nn.Conv2d(2, 1, 1)

        def forward(self, fine, coarse):
            return functional.interpolate(self.output(self.down(fine)), size=fine.shape[-2:], mode="nearest")

    card = make_card(channels=standard_channels(("hh",)))
    card = changed(card, alignment=70, receptive_field_radius=69)
    torch.manual_seed(0)
    result = measure(card, Long())
    assert result.field.radius == 69
    assert result.alignment == 70


def test_a_search_for_a_step_that_takes_too_long_ends(monkeypatch):
    """No step works up to 128; the budget ends the search, and the sentence says so."""

    class Placed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 64, 9, padding=4)
            self.output = nn.Conv2d(64, 1, 9, padding=4)

        def forward(self, fine, coarse):
            return self.output(self.conv(fine)) * torch.arange(fine.shape[-1]).to(fine.dtype)

    card = changed(make_card(channels=standard_channels(("hh",))), alignment=7, receptive_field_radius=8)
    monkeypatch.setattr(work_budget, "MOST_WORK", 10**9)
    result = measure(card, Placed())
    assert result.alignment is None
    assert any("would take more than ten seconds" in sentence for sentence in result.unmeasured)
