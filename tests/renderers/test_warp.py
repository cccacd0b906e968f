"""The Warp rasterizer draws what the plain-torch one draws, which the other tests hold against oracles."""

import sys

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from framework import registry
from framework.geometry.camera import Camera, homogeneous, orbit
from framework.geometry.mesh import Mesh
from framework.optional import MissingExtra
from framework.renderers.config import TorchRasterizerConfig, WarpRasterizerConfig
from framework.renderers.rasterizer import Fragments, Rasterizer
from framework.renderers.torch_rasterizer import TorchRasterizer
from framework.renderers.turntable import preview


def warp_rasterizer(cull_backfaces: bool = False) -> Rasterizer:
    pytest.importorskip("warp", reason="extra 'warp'")
    from framework.renderers.warp.rasterizer import WarpRasterizer

    return WarpRasterizer(WarpRasterizerConfig(cull_backfaces=cull_backfaces))


def torus(rings: int) -> tuple[Tensor, Tensor]:
    mesh = trimesh.creation.torus(0.6, 0.25, major_sections=rings, minor_sections=rings // 2)
    wave = 1 + 0.15 * np.sin(9 * mesh.vertices[:, 0]) * np.cos(7 * mesh.vertices[:, 1] + 5 * mesh.vertices[:, 2])
    return torch.tensor(mesh.vertices * wave[:, None], dtype=torch.float32), torch.tensor(np.array(mesh.faces))


def seen_from(kind: str, positions: Tensor) -> Tensor:
    poses = orbit((20.0, 130.0, 250.0), (10.0, -35.0, 60.0), 2.0)
    camera = Camera.orthographic(poses, 1.1) if kind == "orthographic" else Camera.perspective(poses, 0.7, near=1.6)
    return homogeneous(positions) @ camera.clip_from_world.mT


def assert_same(found: Fragments, expected: Fragments) -> None:
    """Equal but for ties of a pixel or two, where a sum is rounded otherwise."""
    same = found.face_index == expected.face_index
    assert same.float().mean() > 0.9999
    torch.testing.assert_close(found.barycentric[same], expected.barycentric[same], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.depth[same], expected.depth[same], atol=1e-5, rtol=0)


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
@pytest.mark.parametrize("rings", [6, 40])
def test_same_fragments_and_layers(kind: str, rings: int, cull: bool) -> None:
    """Large and small triangles; the perspective camera's near plane cuts through them."""
    ours, plain = warp_rasterizer(cull), TorchRasterizer(TorchRasterizerConfig(cull_backfaces=cull))
    positions, faces = torus(rings)
    clip = seen_from(kind, positions)
    front = plain.rasterize(clip, faces, (150, 190))
    assert front.mask.any()
    assert_same(ours.rasterize(clip, faces, (150, 190)), front)
    assert_same(ours.peel(clip, faces, front), plain.peel(clip, faces, front))


def loss(rasterizer: Rasterizer, clip: Tensor, faces: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
    """A picture, and a number that depends on all that has gradients."""
    size, generator = (60, 70), torch.Generator().manual_seed(0)
    fragments = rasterizer.rasterize(clip, faces, size)
    color = rasterizer.interpolate(attributes, fragments, faces)
    image = torch.cat([color, fragments.mask[..., None].to(color)], 3)
    image = rasterizer.antialias(image, fragments, clip, faces)
    weights = torch.rand(image.shape, generator=generator).to(image)
    return image, (image * weights).sum() + (fragments.depth * weights[..., 0]).sum()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["orthographic", "perspective"])
def test_same_pictures_and_gradients(kind: str, dtype: torch.dtype, shared: bool) -> None:
    positions, faces = torus(12)
    results = []
    for rasterizer in (warp_rasterizer(), TorchRasterizer()):
        clip = seen_from(kind, positions).to(dtype).requires_grad_()
        values = torch.rand(1 if shared else 3, len(positions), 2, generator=torch.Generator().manual_seed(1))
        values = values.to(dtype).requires_grad_()
        image, total = loss(rasterizer, clip, faces, values)
        results.append([image, *torch.autograd.grad(total, (clip, values))])
    for found, expected in zip(*results, strict=True):
        assert found.dtype == dtype
        assert (found - expected).abs().max() < 2e-4 * expected.abs().max()


@pytest.mark.parametrize("shared", [True, False])
def test_threads_draw_the_same(shared: bool) -> None:
    """Pictures are drawn by several threads on a CPU; their number changes nothing but the order of sums."""
    rasterizer, (positions, faces) = warp_rasterizer(), torus(12)
    poses = orbit([50.0 * number for number in range(7)], 20.0, 2.0)
    clip = homogeneous(positions) @ Camera.perspective(poses, 0.7).clip_from_world.mT
    attributes = torch.rand(1 if shared else 7, len(positions), 2, generator=torch.Generator().manual_seed(1))
    threads, results = torch.get_num_threads(), []
    try:
        for number in (1, 3, 3, 3, 7):
            torch.set_num_threads(number)
            given = clip.clone().requires_grad_(), attributes.clone().requires_grad_()
            image, total = loss(rasterizer, given[0], faces, given[1])
            results.append([image, *torch.autograd.grad(total, given)])
    finally:
        torch.set_num_threads(threads)
    for image, *gradients in results[1:]:
        assert torch.equal(image, results[0][0])
        for found, expected in zip(gradients, results[0][1:], strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5 * float(expected.abs().max()), rtol=0)


def test_only_what_is_asked_for_has_gradients() -> None:
    rasterizer, (positions, faces) = warp_rasterizer(), torus(8)
    clip, attributes = seen_from("perspective", positions), torch.rand(1, len(positions), 2)
    image, _ = loss(rasterizer, clip, faces, attributes)
    assert not image.requires_grad
    image, total = loss(rasterizer, clip, faces, attributes.requires_grad_())
    (of_attributes,) = torch.autograd.grad(total, attributes)
    assert of_attributes.abs().max() > 0


@pytest.mark.parametrize("longest", [3, 10_000])
def test_large_triangles_drawn_by_rows(longest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU does: large triangles go to a list, whose rows are drawn apart; those beyond its end at once."""
    rasterizer, (positions, faces) = warp_rasterizer(), torus(6)
    from framework.renderers.warp import rasterizer as module

    clip = seen_from("orthographic", positions)
    whole = rasterizer.rasterize(clip, faces, (300, 300))
    monkeypatch.setattr(module, "_LARGE_TRIANGLES", {"cpu": longest})
    assert_same(rasterizer.rasterize(clip, faces, (300, 300)), whole)


def test_views_that_are_not_contiguous() -> None:
    rasterizer, (positions, faces) = warp_rasterizer(), torus(8)
    clip = seen_from("perspective", positions)
    strange = clip.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    turned = faces.t().contiguous().t()
    expected, found = rasterizer.rasterize(clip, faces, (30, 40)), rasterizer.rasterize(strange, turned, (30, 40))
    assert_same(found, expected)
    attributes = torch.rand(5, len(positions)).t()[None]
    picture = rasterizer.interpolate(attributes, found, turned)
    torch.testing.assert_close(picture, rasterizer.interpolate(attributes.contiguous(), expected, faces))
    image = picture.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    smooth = rasterizer.antialias(image, found, strange, turned)
    torch.testing.assert_close(smooth, rasterizer.antialias(picture, expected, clip, faces))


def test_nothing_to_draw() -> None:
    rasterizer, faces = warp_rasterizer(), torch.zeros(0, 3, dtype=torch.int64)
    for pictures, vertices in ((1, 0), (2, 3), (0, 3)):
        clip = torch.zeros(pictures, vertices, 4, requires_grad=True)
        fragments = rasterizer.rasterize(clip, faces, (3, 5))
        assert fragments.face_index.shape == (pictures, 3, 5) and not fragments.mask.any()
        assert not rasterizer.peel(clip, faces, fragments).mask.any()
        picture = rasterizer.interpolate(torch.zeros(1, vertices, 2), fragments, faces)
        assert rasterizer.antialias(picture, fragments, clip, faces).shape == (pictures, 3, 5, 2)


def test_previews_are_the_same() -> None:
    """Shading, soft shadows and sheets on top of it see no difference."""
    shape = trimesh.creation.box((1, 0.6, 0.8)).subdivide()
    mesh = Mesh(shape.vertices, shape.faces)
    found, expected = (preview(mesh, rasterizer, 40, 1) for rasterizer in (warp_rasterizer(), TorchRasterizer()))
    assert (np.abs(found.astype(int) - expected) > 1).mean() < 0.001


def test_without_the_package_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from framework.renderers.warp import kernels

    monkeypatch.setitem(sys.modules, "warp", None)
    kernels.load.cache_clear()
    with pytest.raises(MissingExtra, match=r"renderer=warp needs the package 'warp': pip install 'atelier3d\[warp\]'"):
        registry.load_class("renderer", "warp")(WarpRasterizerConfig())


@pytest.mark.gpu
def test_same_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    rasterizer, (positions, faces) = warp_rasterizer(), torus(40)
    clip, attributes = seen_from("perspective", positions), torch.rand(1, len(positions), 2)
    here, _ = loss(rasterizer, clip, faces, attributes)
    there, _ = loss(rasterizer, clip.to("cuda"), faces.to("cuda"), attributes.to("cuda"))
    assert ((here - there.cpu()).abs().amax(3) < 1e-3).float().mean() > 0.999
