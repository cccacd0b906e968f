"""What StyleSDF's pictures cost: resampling and a whole picture, against the plain formulations, with the same weights.

python benchmarks/stylesdf_images.py [--threads 1 2] [--repeats 3]

Plain are: resampling as it is defined, with all zeros made and multiplied; the SDF network as its equations stand, all
points at once; modulated convolutions with weights of each item. The whole picture is of the official size, 64 x 64
rays of 24 samples and 1024 x 1024 pixels. Every operation runs in a process of its own, so that its peak memory is its
own: the most that it held above what the process held before (Linux). Seconds are those on the clock and, since
machines are shared, those of the processor; the fastest run counts. Ratios are of the processor's seconds and of the
memory, to the plain formulation.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from memory import with_peak
from rich.console import Console
from rich.table import Table
from stylesdf_rendering import OFFICIAL, PlainSiren
from torch import Tensor
from torch.nn.functional import leaky_relu

from framework.nets.stylegan2.layers import ModulatedConv, NoiseWeight, StyledConv
from framework.nets.stylegan2.resampling import Resample, upfirdn2d, upfirdn2d_reference
from methods.stylesdf.cameras import cameras_at
from methods.stylesdf.config import CameraConfig, GeneratorConfig
from methods.stylesdf.nets import decoder as decoding
from methods.stylesdf.nets.generator import Generator

MAPS = (4, 64, 256, 256)
FILTERS = {
    "doubled sides": Resample((2, 1), up=2, gain=4.0),
    "halved sides": Resample((1, 1), down=2),
    "blur before a stride of 2": Resample((2, 2)),
}
PICTURE = "a picture of 1024 x 1024"
Operation = Callable[[], Tensor]


def resampling(name: str, plain: bool) -> Operation:
    """A filter on maps."""
    layer, x = FILTERS[name], torch.randn(MAPS, generator=torch.Generator().manual_seed(0))
    function = upfirdn2d_reference if plain else upfirdn2d
    return partial(function, x, layer.kernel, layer.up, layer.down, layer.padding)


def picture(plain: bool) -> Operation:
    """One face from one side, with the decoder's fixed noise; the same weights in every process."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(), OFFICIAL, with_decoder=True).eval().requires_grad_(False)
    for module in generator.modules():
        if isinstance(module, NoiseWeight):
            module.weight.fill_(0.1)
    z, cameras, options = torch.randn(1, OFFICIAL.width), cameras_at(torch.tensor([[0.2, 0.1]]), CameraConfig()), None
    if plain:
        network = PlainSiren(OFFICIAL, OFFICIAL.width)
        network.load_state_dict(generator.renderer.network.state_dict())
        generator.renderer.network, options = network, replace(OFFICIAL, chunk_points=2**26)
        formulate_plainly()
    return lambda: generator(cameras, z, options=options).image


def formulate_plainly() -> None:
    """From here on layers of this process follow their definitions, with the memory layout that torch begins with."""

    def modulated(layer: ModulatedConv, x: Tensor, style: Tensor) -> Tensor:
        return layer.reference(x, style)

    def styled(layer: StyledConv, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        x = layer.conv(x, style) + layer.noise.weight * noise
        return leaky_relu(x + layer.activate.bias[:, None, None], 0.2) * layer.activate.gain

    def resampled(layer: Resample, x: Tensor) -> Tensor:
        return upfirdn2d_reference(x, layer.kernel, layer.up, layer.down, layer.padding)

    replaced: list[tuple[Any, Callable]] = [(ModulatedConv, modulated), (StyledConv, styled), (Resample, resampled)]
    for owner, function in replaced:
        owner.forward = function
    decoding.fast_layout = lambda x: x


@torch.no_grad()
def measured(operation: Operation, repeats: int, target: Path) -> dict[str, float]:
    """Least seconds on the clock and of the processor, and MiB of a run of its own; the result goes to `target`."""
    result, mebibytes = with_peak(operation)
    torch.save(result, target)
    runs = []
    for _ in range(repeats):
        start, processor = time.perf_counter(), time.process_time()
        operation()
        runs.append((time.perf_counter() - start, time.process_time() - processor))
    return {"clock": min(run[0] for run in runs), "processor": min(run[1] for run in runs), "mebibytes": mebibytes}


def in_own_process(name: str, plain: bool, threads: int, repeats: int) -> tuple[dict[str, float], Tensor]:
    """`measured` of an operation, and its result."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "result.pt"
        words = ["--case", name, "--plain" if plain else "--no-plain", "--result", str(target)]
        counts = ["--threads", str(threads), "--repeats", str(repeats)]
        asleep = os.environ | {"OMP_WAIT_POLICY": "passive"}  # threads that wait must not count as work
        command = [sys.executable, __file__, *words, *counts]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=asleep)
        return json.loads(run.stdout.splitlines()[-1]), torch.load(target, weights_only=True)


def tables(threads: int, repeats: int) -> Table:
    """A table with two rows for each operation: plain, ours."""
    table = Table("", "s", "s of processor", "times faster", "MiB", "share", "differs by", title=f"threads: {threads}")
    for name in (*FILTERS, PICTURE):
        (plain, wanted), (fast, found) = (in_own_process(name, plain, threads, repeats) for plain in (True, False))
        spent = [
            (f"{cost['clock']:.2f}", f"{cost['processor']:.2f}", f"{cost['mebibytes']:,.0f}") for cost in (plain, fast)
        ]
        table.add_row(f"{name}, plain", *spent[0][:2], "1.00", spent[0][2], "1.00", "")
        times, share = plain["processor"] / fast["processor"], fast["mebibytes"] / plain["mebibytes"]
        apart = f"{(found - wanted).abs().max():.0e}"
        table.add_row(f"{name}, ours", *spent[1][:2], f"{times:.2f}", spent[1][2], f"{share:.2f}", apart)
    return table


def main() -> None:
    """Print a table for each number of threads; with `--case`, measure one operation and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", choices=(*FILTERS, PICTURE), help=argparse.SUPPRESS)
    parser.add_argument("--plain", action=argparse.BooleanOptionalAction, help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        torch.set_num_threads(options.threads[0])
        make = picture if options.case == PICTURE else partial(resampling, options.case)
        sys.stdout.write(json.dumps(measured(make(plain=options.plain), options.repeats, options.result)) + "\n")
        return
    for threads in options.threads:
        Console(width=120).print(tables(threads, options.repeats))


if __name__ == "__main__":
    main()
