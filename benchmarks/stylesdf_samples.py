"""FID and KID between samples of a StyleSDF generator and the pictures of a set.

    python benchmarks/stylesdf_samples.py --weights ckpts/stylesdf-small/full --data datasets/faces.lmdb
        [--count 1000] [--seed 0] [--psi 1] [--inception pt_inception-2015-12-05-6726825d.pth]
        [--thumbnails] [--as-predicted]

`--data` is an LMDB set or a folder of pictures, which are cut square and resized. Cameras, and how rays are sampled,
are those of the training, or with `--as-predicted` those of predictions. Numbers compare with published ones only where
the published feature network is given, with as many pictures. For scale: two halves of the set against each
other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from framework.data.config import ImageLmdbConfig
from framework.data.image_lmdb import ImageItems, scaled
from framework.data.image_set import SET_FILE, ImageSet
from framework.data.pictures import upright_picture
from framework.data.square_pictures import FORMATS, find_pictures, square
from framework.evaluation.image_distances import frechet_distance, kernel_distances
from framework.evaluation.image_features import FeatureNetwork, feature_network, features
from framework.systems.draws import Draws
from framework.systems.system import System
from methods.stylesdf.fakes import draw

MEAN_OVER = 10_000


def real_pictures(source: Path, side: int, most: int) -> Iterator[Tensor]:
    """Pictures (3, S, S) in [-1, 1] of a set, as thumbnails of a training, or of a folder's files, as squares."""
    if source.is_file() or (source / SET_FILE).is_file():
        stored = ImageSet(source)
        config = ImageLmdbConfig(root=str(source), thumb_resolution=side, image=False, flip=False)
        indexes = list(range(min(stored.length(), most)))
        items = ImageItems(stored, indexes, config, stored.resolution(None, side), flip=False)
        yield from (items[0, place]["thumbnail"] for place in indexes)
    else:
        for path in find_pictures(source)[:most]:
            yield scaled(np.asarray(square(upright_picture(path, FORMATS).convert("RGB"), side, "lanczos")))


def batches(pictures: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """(B, 3, S, S) of single pictures."""
    rest = iter(pictures)
    while batch := list(islice(rest, size)):
        yield torch.stack(batch)


@torch.no_grad()
def samples(system: Any, options: argparse.Namespace) -> Iterator[Tensor]:
    """Batches (B, 3, S, S) in [-1, 1]: sample i follows from the seed and i alone, whatever the batch."""
    generator, config = system.generator_average, system.config
    renderer = config.renderer
    if options.as_predicted:
        renderer = replace(renderer, static_viewdirs=True, force_background=True, perturb=False)
    codes = torch.randn(MEAN_OVER, config.generator.style_dim, generator=torch.Generator().manual_seed(options.seed))
    means = generator.mean_latents(codes.to(system.device)) if options.psi != 1.0 else None
    for first in range(0, options.count, options.batch):
        draws = Draws(options.seed, range(first, min(first + options.batch, options.count)), device=system.device)
        fakes = draw(draws, config)
        decodes = generator.decoder is not None and not options.thumbnails
        noise = tuple(draws.normal(*shape) for shape in generator.decoder.noise_shapes) if decodes else None
        made = generator(
            fakes.cameras,
            fakes.z[0],
            psi=options.psi,
            means=means,
            noise=noise,
            with_image=decodes,
            options=renderer,
            jitter=None if options.as_predicted else fakes.jitter,
        )
        yield made.image if decodes else made.thumbnail


def features_of(shown: Iterable[Tensor], network: FeatureNetwork, device: torch.device, title: str) -> Tensor:
    """Features (N, D) of batches of pictures in [-1, 1], on the CPU."""
    found = [features((batch.to(device) + 1.0) / 2.0, network).cpu() for batch in track(shown, title)]
    if not found:
        raise SystemExit(f"error: there are no {title}. Give --data=<LMDB set or folder of pictures> and --count")
    return torch.cat(found)


def rows(real: Tensor, generated: Tensor, seed: int) -> Iterator[tuple[str, int, int, float, Tensor]]:
    """Title, numbers of pictures, FID and KIDs: of the samples, and of two halves of the set, for scale."""
    yield (
        "samples",
        len(generated),
        len(real),
        frechet_distance(generated, real),
        kernel_distances(generated, real, seed),
    )
    if len(real) < 4:
        return
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(seed))
    first, second = real[order].chunk(2)
    found = frechet_distance(first, second), kernel_distances(first, second, seed)
    yield "half of the set", len(first), len(second), *found


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="run id, folder or official file of volume or full")
    parser.add_argument("--data", required=True, type=Path, help="LMDB set, or folder of pictures")
    parser.add_argument("--count", type=int, default=1000, help="samples")
    parser.add_argument("--pictures", type=int, default=10**9, help="at most so many of the set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--psi", type=float, default=1.0, help="truncation")
    parser.add_argument("--inception", default="", help="file of the published feature network")
    parser.add_argument(
        "--thumbnails", action="store_true", help="of rendered thumbnails, not of the decoder's pictures"
    )
    parser.add_argument("--as-predicted", action="store_true", help="rays as in predictions, not as in the training")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(words)

    network = feature_network(options.inception).to(options.device)
    system: Any = System.load(options.weights, device=options.device)
    sizes = system.config.generator
    small = options.thumbnails or system.generator_average.decoder is None
    side = sizes.renderer_resolution if small else sizes.size
    real = batches(real_pictures(options.data, side, options.pictures), options.batch)
    known = features_of(real, network, system.device, "pictures")
    made = features_of(samples(system, options), network, system.device, "samples")

    where = "as predicted" if options.as_predicted else "as in training"
    title = (
        f"{system.registry_name}, {side} x {side}, psi {options.psi:g}, seed {options.seed}, {where}; {network.label}"
    )
    table = Table("", "pictures", "against", "FID", "KID x 1000", title=title)
    for name, count, others, fid, kids in rows(known, made, options.seed):
        deviation = f" +- {1000 * float(kids.std()):.3f}" if len(kids) > 1 else ""
        table.add_row(name, str(count), str(others), f"{fid:.3f}", f"{1000 * float(kids.mean()):.3f}{deviation}")
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
