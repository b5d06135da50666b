"""What each trick of the fast network brings: processor time with it and without, in runs that alternate.

::

    .venv/bin/python bench/tricks.py                       # 1024 x 1024 pixels, all tricks
    .venv/bin/python bench/tricks.py --only bands pairs    # some of them
    .venv/bin/python bench/tricks.py --list

A trick is switched off by replacing the function or the constant that it lies in; the results must stay what they
were but for rounding. What is compared is processor time of a single thread (`threads` alone is wall-clock time), the
median over rounds in which each variant runs once. The gain is the time without the trick over that with it, less 1:
the median of single rounds, with the least and the largest. A gain within the noise of its rounds is none.
The table belongs into ``plugin/networks/aspp/fast/README.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "build" / "plugins"))

from floelens.plugin.networks.aspp.architecture import fast_paths_of
from floelens.plugin.networks.aspp.fast import forward, gradient, head, head_forward, head_transpose, pools
from floelens.plugin.networks.aspp.fast.forward import FastAspp
from floelens.plugin.networks.kernels import buffers, convolutions, threads
from floelens.plugin.networks.layers import SamePool2d
from floelens.plugin.networks.package import load

MODEL = "aspp-concentration-sim"
EPSILON = 1e-6
Run = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Trick:
    """A trick and how to do without it.

    Parameters
    ----------
    title : str
        What it does.
    without : callable
        Returns a block in which it is off; networks are made and run inside.
    tasks : tuple of str
        What it is measured in: keys of :data:`TASKS`.
    change : callable, optional
        Changes a network made inside the block.
    """

    title: str
    without: Callable[[], contextlib.AbstractContextManager]
    tasks: tuple[str, ...] = ("predict", "gradient")
    change: Callable[[FastAspp], None] | None = None


@contextlib.contextmanager
def replaced(*pairs: tuple[object, str, object]) -> Iterator[None]:
    """Replace attributes inside the block."""
    with contextlib.ExitStack() as stack:
        for owner, name, value in pairs:
            stack.enter_context(mock.patch.object(owner, name, value))
        yield


def nothing() -> contextlib.AbstractContextManager:
    """Return a block in which nothing is replaced: the trick is switched off in the network."""
    return contextlib.nullcontext()


def _not_merged(network: FastAspp) -> None:
    network.merged.clear()


def _not_folded(network: FastAspp) -> None:
    network.folded = False
    network.output_bias.copy_(network.offset_output)  # the branches add their own offsets now


def _by_lines() -> contextlib.AbstractContextManager:
    original = head.LinearHead.__init__

    def made(self, kernels, *rest) -> None:
        original(self, kernels, *rest)
        self.by_taps = False
        for scale, kernel in kernels.items():
            lines = convolutions.kernel_lines(kernel / scale**2)
            self._keep(f"mean_lines{scale}", lines, wide=True)

    return replaced((head.LinearHead, "__init__", made))


def _turned_planes() -> contextlib.AbstractContextManager:
    def planes(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        _, _, rows, cols = values.shape
        return convolutions.convolved(values, weight)[0].contiguous().view(-1, rows, cols)

    return replaced((head, "planes", planes))


def _coarse_on_pixels() -> contextlib.AbstractContextManager:
    """Upsample all coarse channels, then weight them at every pixel."""

    def cells(self, coarse):
        return coarse

    def on_pixels(self, coarse, band, fine):
        ratio = self.upsample.ratio
        first = band.start // ratio
        seen = fine[:, :, first * ratio : band.stop]
        channels = self.upsample(coarse[:, :, first : -(-band.stop // ratio)], seen)
        channels = channels[:, :, band.start - first * ratio :].contiguous(memory_format=self.memory_format)
        bias = self.get_buffer("output_bias")[:, None, None]
        return convolutions.convolved(channels, self.get_buffer("output_coarse")) + bias

    return replaced((FastAspp, "_weighted_cells", cells), (FastAspp, "_on_pixels", on_pixels))


def _pool_by_pool() -> contextlib.AbstractContextManager:
    def alone(values: torch.Tensor, scales: tuple[int, ...]) -> Iterator[tuple[int, torch.Tensor]]:
        for scale in scales:
            yield scale, SamePool2d(scale)(values)

    return replaced((forward, "doubled_pools", alone), (head, "doubled_pools", alone))


def _fresh_lent() -> contextlib.AbstractContextManager:
    def acquire(self, number, dtype, device):
        return torch.empty(number, dtype=dtype, device=device)

    return replaced(
        (buffers.BufferPool, "acquire", acquire), (buffers.BufferPool, "put_back", lambda self, memory: None)
    )


def _fresh_named() -> contextlib.AbstractContextManager:
    def named(self, name, shape, like):
        samples, channels, rows, cols = shape
        return like.new_empty((samples, rows, cols, channels)).permute(0, 3, 1, 2)

    return replaced((buffers.BufferPool, "named", named))


def _kept_in_full() -> contextlib.AbstractContextManager:
    original = buffers.BufferPool.named

    def named(self, name, shape, like):
        return original(self, name, shape, like.float() if like.dtype == torch.bfloat16 else like)

    return replaced((buffers.BufferPool, "named", named))


def _plain_copies() -> contextlib.AbstractContextManager:
    return replaced((convolutions, "_copy", lambda values, place: place.copy_(values)))


TALL = 1 << 30
TRICKS = {
    "fold": Trick(
        "folded head: scale convolutions in the output weights, pools of logits", nothing, ("predict",), _not_folded
    ),
    "taps": Trick("single logit: nine taps as channels of a 1 × 1 convolution", _by_lines, ("predict",)),
    "planes": Trick("taps found as planes, by a matrix product", _turned_planes, ("predict",)),
    "doubling": Trick(
        "pools by doubling, each of four of the one before (unfolded head)",
        _pool_by_pool,
        ("predict, unfolded",),
    ),
    "depthwise": Trick(
        "the four windows of a pool as one convolution of each channel (unfolded head)",
        lambda: replaced((pools, "_depthwise", lambda values: False)),
        ("predict, unfolded", "lrp_epsilon"),
    ),
    "norms": Trick("batch norms merged into the convolutions behind them", nothing, change=_not_merged),
    "relu": Trick(
        "ReLU in the pass of its convolution", lambda: replaced((convolutions, "_fused", lambda: None))
    ),
    "pairs": Trick("copies of two numbers as one", _plain_copies),
    "bands": Trick(
        "48 rows at a time through the trunk",
        nothing,
        ("predict", "gradient", "lrp_epsilon"),
        lambda network: setattr(network, "band_rows", TALL),
    ),
    "chunks": Trick(
        "48 rows at a time through the head",
        lambda: replaced(
            (head_forward, "CHUNK_ROWS", TALL),
            (head_forward, "FINISHED_ROWS", TALL),
            (head_transpose, "CHUNK_ROWS", TALL),
        ),
    ),
    "strips": Trick(
        "edges of the scene 384 pixels at a time", lambda: replaced((head, "STRIP_LENGTH", TALL))
    ),
    "coarse": Trick("coarse channels weighted on their cells, before upsampling", _coarse_on_pixels, ("predict",)),
    "lent": Trick("buffer pool: memory lent to bands", _fresh_lent, ("predict", "gradient")),
    "named": Trick("buffer pool: arrays kept by name for the backward pass", _fresh_named, ("gradient",)),
    "half": Trick("gates kept in two bytes", _kept_in_full, ("gradient",)),
    "sums": Trick(
        "sums for the biases over columns and channels at once",
        lambda: replaced((gradient, "column_sums", lambda values: values.sum((0, 2, 3)))),
        ("gradient",),
    ),
    "onednn": Trick(
        "convolutions by oneDNN whatever their size (the same numbers in any program)",
        lambda: replaced((torch.backends.mkldnn, "is_available", lambda: False)),
        ("predict",),
    ),
    "threads": Trick(
        "rows in shares, a thread each (wall-clock time, all cores)",
        lambda: replaced((forward, "worker_count", lambda: 1), (threads, "worker_count", lambda: 1)),
        ("predict", "gradient"),
    ),
}  # fmt: skip


def tasks(network: FastAspp, fine: torch.Tensor, coarse: torch.Tensor) -> dict[str, Run]:
    """Return what is measured: forward, gradient and LRP-ε of a whole tile, noting every bias."""
    outputs = len(network.output_bias)

    def predict() -> torch.Tensor:
        with torch.inference_mode():
            return network(fine, coarse)

    def back(path) -> Run:
        def run() -> torch.Tensor:
            _, pull = path(fine, coarse)
            seeds = torch.zeros(1, outputs, *fine.shape[2:])
            seeds[:, 0] = 1
            return pull(seeds, lambda *_: None)[0]

        return run

    paths = fast_paths_of(network)
    made: dict[str, Run] = {"predict": predict, "predict, unfolded": predict}
    if paths.gradient is not None:
        made["gradient"] = back(paths.gradient)
    if paths.lrp_epsilon is not None:
        made["lrp_epsilon"] = back(paths.lrp_epsilon(EPSILON))
    return made


def made(task: str, change: Callable[[FastAspp], None] | None) -> FastAspp:
    """Return the network that a task runs, changed."""
    _, module = load(MODEL)
    network = FastAspp(module, torch.float32)
    if task == "predict, unfolded":
        _not_folded(network)
    if change is not None:
        change(network)
    return network


def inputs(network: FastAspp, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return standardised inputs of a tile."""
    generator = torch.Generator().manual_seed(1)
    cells = -(-size // network.upsample.ratio)
    channels = network.conv1_weight.shape[1]
    fine = torch.randn(1, channels, size, size, generator=generator)
    return fine, torch.randn(1, network.coarse_channels, cells, cells, generator=generator)


def measured(
    trick: Trick, task: str, size: int, rounds: int, clock: Callable[[], float]
) -> tuple[list[float], list[float], float]:
    """Return seconds with and without a trick by round, and the largest difference relative to the largest value."""
    network = made(task, None)
    given = inputs(network, size)
    with_it = tasks(network, *given)[task]
    with trick.without():
        without = tasks(made(task, trick.change), *given)[task]
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):  # the first is not counted
        found = []
        for run, block, taken in ((with_it, nothing, times[0]), (without, trick.without, times[1])):
            with block():
                start = clock()
                result = run()
                if number:
                    taken.append(clock() - start)
                found.append(result.clone())
    difference = float((found[0] - found[1]).abs().max() / found[0].abs().max())
    return *times, difference


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1024, help="rows and columns of the scene")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each variant; the median counts")
    parser.add_argument("--only", nargs="+", choices=TRICKS, default=list(TRICKS), help="some tricks alone")
    parser.add_argument("--list", action="store_true", help="name the tricks")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(f"{name}: {trick.title}" for name, trick in TRICKS.items()))
        return 0
    print("| trick | task | with, s | without, s | gain | difference |\n|---|---|---|---|---|---|")
    cores = torch.get_num_threads()
    for name in arguments.only:
        trick = TRICKS[name]
        torch.set_num_threads(max(2, cores) if name == "threads" else 1)
        clock = time.perf_counter if name == "threads" else time.process_time
        for task in trick.tasks:
            with_it, without, difference = measured(trick, task, arguments.size, arguments.rounds, clock)
            gains = sorted(100 * (off / on - 1) for on, off in zip(with_it, without))
            gain = f"{statistics.median(gains):+.0f} % ({gains[0]:+.0f} to {gains[-1]:+.0f})"
            seconds = f"{statistics.median(with_it):.3f} | {statistics.median(without):.3f}"
            print(f"| `{name}` | {task} | {seconds} | {gain} | {difference:.0e} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
