"""What the libraries do that :mod:`peers` compares with, made ready for a network."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from importlib import import_module
from unittest.mock import MagicMock

import torch
from floelens.plugin.core.contributions.splitters import GATED
from floelens.plugin.networks.inner_layers import output_convolution
from floelens.plugin.networks.layers import SamePool2d

STEPS = 32  # nodes of integrated gradients
EPSILON = 1e-6
# What pytorch-grad-cam imports for other methods than the one that is measured.
ABSENT = (
    "ttach", "cv2", "sklearn", "sklearn.decomposition", "torchvision", "torchvision.transforms",
    "torchvision.transforms.functional", "requests", "PIL",
)  # fmt: skip


def torchvision_stub() -> None:
    """Stand in for the classes of torchvision that zennit's import names; none of them is used."""
    for path, names in (("resnet", ("Bottleneck", "BasicBlock", "ResNet")), ("vgg", ("VGG",))):
        stub = types.ModuleType(f"torchvision.models.{path}")
        for name in names:
            setattr(stub, name, type(name, (torch.nn.Module,), {}))
        sys.modules[stub.__name__] = stub
    for name in ("torchvision", "torchvision.models"):
        sys.modules[name] = types.ModuleType(name)


def absent_stubs(names: Sequence[str]) -> None:
    """Stand in for modules that an import names and nothing here uses, where they are not installed."""
    for name in names:
        try:
            import_module(name)
        except ImportError:
            sys.modules[name] = MagicMock()


class Ahead(torch.nn.Module):
    """What lies ahead of the last convolution: the gradient is taken up to here."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values, apart from the graph behind them."""
        return values.detach().requires_grad_()


def full_cam(module: torch.nn.Module, logit: int) -> Callable:
    """Return the full class activation map of the inputs of the last convolution, by pytorch-grad-cam.

    Its own maps drop what is negative and are scaled to 0 … 1; its activations and gradients are multiplied here. The
    backward pass ends at these inputs, which is the cheapest that a user can have.
    """
    absent_stubs(ABSENT)
    from pytorch_grad_cam.base_cam import BaseCAM

    class FullCAM(BaseCAM):
        """Gradient x activation, summed over features."""

        def compute_cam_per_layer(self, *_given):
            kept = self.activations_and_grads
            return (kept.gradients[0] * kept.activations[0]).sum(1).numpy()

        def aggregate_multi_layers(self, cam_per_target_layer):
            return torch.from_numpy(cam_per_target_layer)[None]

    end = output_convolution(module)
    assert end is not None
    parent, _, name = end.names[0].rpartition(".")
    features = Ahead()
    setattr(
        module.get_submodule(parent), name, torch.nn.Sequential(features, module.get_submodule(end.names[0]))
    )

    class OfFine(torch.nn.Module):
        """The network as a function of its fine inputs, which is what the library takes."""

        def __init__(self) -> None:
            super().__init__()
            self.network, self.coarse = module, None

        def forward(self, fine: torch.Tensor) -> torch.Tensor:
            return self.network(fine, self.coarse)

    network = OfFine()
    cam = FullCAM(network, [features], tta_transforms=())

    def mapped(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        network.coarse = coarse
        return cam(fine, [lambda logits: logits[logit].sum()])

    return mapped


def method_of(who: str, what: str, module: torch.nn.Module, logit: int) -> Callable:
    """Return what a peer does with a window's inputs: a map in the shape of the fine ones."""

    def summed(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        return module(fine, coarse)[:, logit].sum((1, 2))

    if who == "pytorch-grad-cam":
        return full_cam(module, logit)
    if who == "plain":
        # All logits to predict, the explained one to compare with its parts.
        return (lambda *pair: module(*pair)[:, logit, None]) if what == GATED else module
    if who == "captum":
        from captum.attr import InputXGradient, IntegratedGradients

        if what == "gradient_x_input":
            return lambda *pair: InputXGradient(summed).attribute(pair)[0]
        return lambda *pair: IntegratedGradients(summed).attribute(
            pair, n_steps=STEPS, method="gausslegendre", internal_batch_size=1
        )[0]
    try:
        import torchvision  # noqa: F401
    except ImportError:
        torchvision_stub()
    from zennit.composites import EpsilonPlus, LayerMapComposite
    from zennit.rules import Epsilon, Norm, Pass
    from zennit.types import Activation, AvgPool, BatchNorm, Convolution

    if what == "lrp_composite":
        composite = EpsilonPlus(epsilon=EPSILON, layer_map=[(SamePool2d, Norm())])
    else:
        # Batch norm as the affine layer it is: merged into the next convolution it is wrong at the border.
        rules = [(Activation, Pass()), (AvgPool, Norm()), (SamePool2d, Norm())]
        composite = LayerMapComposite([*rules, ((Convolution, BatchNorm), Epsilon(EPSILON))])

    def relevance(fine: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        fine.requires_grad_()
        with composite.context(module) as modified:
            logits = modified(fine, coarse)
            seeds = torch.zeros_like(logits)
            seeds[:, logit] = logits.detach()[:, logit]
            return torch.autograd.grad(logits, fine, seeds)[0]

    return relevance
