"""Random and hostile meshes: every rasterizer gives finite fragments within bounds, and never ends the process."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from framework.renderers.rasterizer import Fragments, Rasterizer
from framework.renderers.torch_rasterizer import TorchRasterizer

ROOT = Path(__file__).parents[2]
SPECIAL = (0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e30, -1e30, 3e38, float("inf"), -float("inf"), float("nan"), 1e-6, 2.0)


BLOCKS = pytest.mark.parametrize("block", [0, *(pytest.param(block, marks=pytest.mark.slow) for block in range(1, 8))])
"""Each of 100 scenes; the first of them is quick enough for every run."""


def rasterizer_called(name: str) -> Rasterizer:
    if name == "torch":
        return TorchRasterizer()
    pytest.importorskip("warp", reason="extra 'warp'")
    from framework.renderers.warp.rasterizer import WarpRasterizer

    return WarpRasterizer()


def hostile(seed: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Clip positions (B, V, 4), faces (F, 3) and a size; a share of the numbers is special, some faces degenerate."""
    generator = torch.Generator().manual_seed(seed)

    def number(high: int) -> int:
        return int(torch.randint(high, (1,), generator=generator))

    pictures, vertices, faces = 1 + number(3), 1 + number(40), number(60)
    size = 1 + number(40), 1 + number(40)
    clip = torch.randn(pictures, vertices, 4, generator=generator, dtype=dtype)
    clip[..., 3] += number(4)
    if seed % 3 == 0:  # corners on pixel centres and on each other
        clip[..., :2] = (clip[..., :2] * 4).round() / 4
        clip[..., 3] = 1
    share = (0.0, 0.02, 0.3)[seed % 3 if seed % 2 else 0]
    special = torch.tensor(SPECIAL, dtype=dtype)[torch.randint(len(SPECIAL), clip.shape, generator=generator)]
    clip = torch.where(torch.rand(clip.shape, generator=generator) < share, special, clip)
    if seed % 7 == 0:
        clip = clip * 10.0 ** number(30)
    return clip, torch.randint(vertices, (faces, 3), generator=generator), size


def assert_sound(fragments: Fragments, faces: Tensor, clip: Tensor) -> None:
    """Faces that exist, whole numbers of corners; weights that sum to 1; depths within the planes but for rounding."""
    seen = fragments.mask
    assert fragments.face_index.min() >= -1 and fragments.face_index.max() < max(len(faces), 1)
    assert (fragments.barycentric[~seen] == 0).all() and (fragments.depth[~seen] == 1).all()
    if not len(faces):
        assert not seen.any()
        return
    picture = seen.nonzero()[:, 0]
    corners = clip.detach()[picture[:, None], faces[fragments.face_index[seen]]]
    assert corners.isfinite().all(), "a face with a broken corner is seen"


def draw(rasterizer: Rasterizer, clip: Tensor, faces: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Every operation, and the gradients."""
    clip = clip.clone().requires_grad_()
    fragments = rasterizer.rasterize(clip, faces, size)
    assert_sound(fragments, faces, clip)
    behind = rasterizer.peel(clip, faces, fragments)
    assert_sound(behind, faces, clip)
    attributes = torch.rand(1, clip.shape[1], 3).to(clip).requires_grad_()
    picture = rasterizer.interpolate(attributes, fragments, faces)
    smooth = rasterizer.antialias(picture, fragments, clip, faces)
    total = smooth.sum() + fragments.depth.sum()
    if total.requires_grad:
        total.backward()
        tame = clip.detach().isfinite().all() and clip.detach().abs().max() < 100
        assert not tame or (clip.grad is not None and clip.grad.isfinite().all())
    assert smooth.shape == (len(clip), *size, 3)
    return [fragments.face_index, behind.face_index, smooth]


@pytest.mark.parametrize("name", ["torch", "warp"])
@BLOCKS
def test_random_meshes(name: str, block: int) -> None:
    rasterizer = rasterizer_called(name)
    for seed in range(100 * block, 100 * (block + 1)):
        draw(rasterizer, *hostile(seed, torch.float64 if seed % 11 == 0 else torch.float32))


@pytest.mark.parametrize("name", ["torch", "warp"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"face_index": torch.full((1, 4, 5), 7)}, "name face 7, but only 1 faces"),
        ({"face_index": torch.full((1, 4, 5), -5)}, "name face -5"),
        ({"face_index": torch.zeros(1, 4, 5)}, "expected int64"),
        ({"face_index": torch.zeros(4, 5, dtype=torch.int64)}, r"expected int64 \(B, H, W\)|expected \(B, H, W\)"),
        ({"barycentric": torch.zeros(1, 4, 4, 3)}, r"barycentric has shape \(1, 4, 4, 3\)"),
        ({"depth": torch.zeros(1, 4, 4)}, r"depth has shape \(1, 4, 4\)"),
    ],
)
def test_forged_fragments_are_refused(name: str, change: dict[str, Tensor], message: str) -> None:
    rasterizer, faces = rasterizer_called(name), torch.tensor([[0, 1, 2]])
    clip = torch.tensor([[[-1.0, -1, 0, 1], [1, -1, 0, 1], [0, 1, 0, 1]]])
    forged = replace(rasterizer.rasterize(clip, faces, (4, 5)), **change)
    for call in (
        lambda: rasterizer.interpolate(torch.zeros(1, 3, 2), forged, faces),
        lambda: rasterizer.antialias(torch.zeros(1, 4, 5, 2), forged, clip, faces),
        lambda: rasterizer.peel(clip, faces, forged),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("name", ["torch", "warp"])
def test_kinds_of_numbers_may_be_mixed(name: str) -> None:
    """Attributes and images of other floating types than the positions; the wider one wins, the image's own stays."""
    rasterizer, faces = rasterizer_called(name), torch.tensor([[0, 1, 2]])
    corners = torch.tensor([[[-1.0, -1, 0, 1], [1, -1, 0, 1], [0, 1, 0, 1]]])
    for positions, attributes, expected in (
        (torch.float32, torch.float16, torch.float32),
        (torch.float32, torch.float64, torch.float64),
        (torch.float64, torch.float32, torch.float64),
    ):
        clip = corners.to(positions).requires_grad_()
        fragments = rasterizer.rasterize(clip, faces, (6, 7))
        values = torch.ones(1, 3, 2, dtype=attributes, requires_grad=True)
        picture = rasterizer.interpolate(values, fragments, faces)
        assert picture.dtype == expected
        smooth = rasterizer.antialias(picture.to(attributes), fragments, clip, faces)
        assert smooth.dtype == attributes
        of_clip, of_values = torch.autograd.grad(smooth.float().sum(), (clip, values))
        assert of_clip.dtype == positions and of_values.dtype == attributes


@BLOCKS
def test_both_agree_on_random_meshes(block: int) -> None:
    """Visibility is the same but for a few ties; hostile numbers included."""
    plain, ours = TorchRasterizer(), rasterizer_called("warp")
    pixels = differ = 0
    for seed in range(100 * block, 100 * (block + 1)):
        clip, faces, size = hostile(seed)
        expected, found = (rasterizer.rasterize(clip, faces, size).face_index for rasterizer in (plain, ours))
        pixels, differ = pixels + expected.numel(), differ + int((expected != found).sum())
    assert differ <= pixels / 10_000


@pytest.mark.slow
def test_kernels_stay_within_their_arrays() -> None:
    """Compiled in debug mode, Warp checks every index and ends the process at the first that is out of bounds."""
    pytest.importorskip("warp", reason="extra 'warp'")
    code = (
        "import warp\nwarp.config.mode = 'debug'\n"
        "from tests.renderers.test_hostile_meshes import draw, hostile, rasterizer_called\n"
        "rasterizer = rasterizer_called('warp')\n"
        "for seed in range(300):\n    draw(rasterizer, *hostile(seed))\n"
        "print('done')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.endswith("done\n"), done.stdout + done.stderr
