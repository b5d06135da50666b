"""The network that fuses Sentinel-1 and AMSR2 with pools and dilated convolutions at four scales.

Malmgren-Hansen et al., *A Convolutional Neural Network Architecture for Sentinel-1 and AMSR2 Data
Fusion*, IEEE TGRS 2021, doi 10.1109/TGRS.2020.3004539; its variants for interpretation from
Malmgren-Hansen, Nielsen and Pedersen, arXiv 2102.05874. This module is the plain definition, layer by
layer; :mod:`.forward` computes the same numbers several times faster, and a test holds the two equal.
"""

from __future__ import annotations

import torch
from torch import nn

from ..layers import BilinearUpsample, NearestUpsample, SamePool2d
from .variants import SCALES, variant_named

FIRST_FILTERS = 12
TRUNK_FILTERS = 18
# Keras' batch normalisation: its epsilon, and its momentum of 0.99 in torch's counting.
NORM_EPSILON = 1e-3
NORM_MOMENTUM = 0.01
DROPOUT = 0.25


class AsppFusion(nn.Module):
    """The fusion network: SAR at full resolution, MWR joined before the last convolution.

    A trunk of six 3 x 3 convolutions reads the fine channels; the output of the second is kept as the
    skip components. Behind the trunk four branches pool over 2, 4, 8 and 16 pixels (stride 1) and
    convolve with the same dilation. Skip, branches and upsampled coarse channels are concatenated and
    weighted by a 1 x 1 convolution, which makes the network a logistic regression on its components.

    Parameters
    ----------
    fine_channels : int
        Channels at full resolution, at least one.
    coarse_channels : int
        Channels on cells of `ratio` x `ratio` pixels; 0 for a network without them.
    ratio : int
        Fine pixels along one side of a coarse cell.
    variant : str
        ``fusion``, ``interpretability_small``, ``interpretability_large`` or ``v2``
        (see :mod:`.variants`).
    outputs : int
        Logits per pixel, of all heads together.

    Attributes
    ----------
    output : torch.nn.Conv2d
        The last 1 x 1 convolution; its weights are the coefficients of the logistic regression.
    """

    def __init__(
        self,
        fine_channels: int = 2,
        coarse_channels: int = 14,
        ratio: int = 50,
        variant: str = "fusion",
        outputs: int = 1,
    ) -> None:
        super().__init__()
        widths = variant_named(variant)
        self.variant = variant
        self.widths = widths
        self.ratio = ratio
        self.fine_channels = fine_channels
        self.coarse_channels = coarse_channels

        self.conv1 = nn.Conv2d(fine_channels, FIRST_FILTERS, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(FIRST_FILTERS, widths.skip, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.norm1 = nn.BatchNorm2d(widths.skip, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
        self.drop1 = nn.Dropout(DROPOUT)
        self.conv3 = nn.Conv2d(widths.skip, TRUNK_FILTERS, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.conv4 = nn.Conv2d(TRUNK_FILTERS, TRUNK_FILTERS, 3, padding=1)
        self.relu4 = nn.ReLU()
        self.norm2 = nn.BatchNorm2d(TRUNK_FILTERS, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)
        self.drop2 = nn.Dropout(DROPOUT)
        self.conv5 = nn.Conv2d(TRUNK_FILTERS, TRUNK_FILTERS, 3, padding=1)
        self.relu5 = nn.ReLU()
        self.conv6 = nn.Conv2d(TRUNK_FILTERS, TRUNK_FILTERS, 3, padding=1)
        self.relu6 = nn.ReLU()

        self.pools = nn.ModuleList(SamePool2d(scale) for scale in SCALES)
        self.scales = nn.ModuleList(
            nn.Conv2d(TRUNK_FILTERS, widths.scale, 3, padding=scale, dilation=scale) for scale in SCALES
        )
        self.scale_relus = nn.ModuleList(nn.ReLU() for _ in SCALES) if widths.rectified else None
        self.upsample = BilinearUpsample(ratio) if widths.bilinear else NearestUpsample(ratio)

        components = widths.skip + len(SCALES) * widths.scale + coarse_channels
        self.hidden = nn.Conv2d(components, widths.hidden, 1) if widths.hidden else None
        self.hidden_relu = nn.ReLU() if widths.hidden else None
        self.output = nn.Conv2d(widths.hidden or components, outputs, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Draw weights as Keras does: Glorot's uniform distribution, biases zero."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def components(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the inputs of the last 1 x 1 convolution.

        Parameters
        ----------
        fine : torch.Tensor
            (sample, fine channel, row, column), standardised.
        coarse : torch.Tensor or None
            (sample, coarse channel, cell row, cell column), standardised; its cells of `ratio` x
            `ratio` pixels begin at the first pixel and cover the last. None where the network has no
            coarse channels.

        Returns
        -------
        torch.Tensor
            (sample, component, row, column): skip, the scales 2, 4, 8, 16, then the coarse channels;
            for the variant ``v2`` its hidden units.
        """
        skip = self.relu2(self.conv2(self.relu1(self.conv1(fine))))
        trunk = self.drop1(self.norm1(skip))
        trunk = self.relu4(self.conv4(self.relu3(self.conv3(trunk))))
        trunk = self.drop2(self.norm2(trunk))
        trunk = self.relu6(self.conv6(self.relu5(self.conv5(trunk))))
        parts = [skip]
        for index, (pool, convolution) in enumerate(zip(self.pools, self.scales)):
            branch = convolution(pool(trunk))
            parts.append(branch if self.scale_relus is None else self.scale_relus[index](branch))
        if self.coarse_channels:
            parts.append(self.upsample(coarse, fine))
        joined = torch.cat(parts, 1)
        if self.hidden is None or self.hidden_relu is None:
            return joined
        return self.hidden_relu(self.hidden(joined))

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor | None) -> torch.Tensor:
        """Return the logits (sample, output, row, column) of what :meth:`components` describes."""
        return self.output(self.components(fine, coarse))
