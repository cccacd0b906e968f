"""Adapters of libraries that can't be installed everywhere, against stand-ins that speak their documented interface.

A stand-in accepts exactly what was recorded (`recording.py`), in the library's conventions, and answers with the
recorded tensors. It stands for the library, never for our code.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from framework import registry
from framework.optional import MissingExtra
from framework.renderers import backends
from framework.renderers.automatic import fastest_rasterizer
from framework.renderers.config import AdapterConfig, AutomaticConfig
from framework.renderers.rasterizer import Rasterizer
from framework.renderers.torch_rasterizer import TorchRasterizer

RECORDED = load_file(Path(__file__).parent / "recorded" / "adapters.safetensors")
SIZE = tuple(RECORDED["uv"].shape[1:3])
CLIP, FACES = RECORDED["clip"], RECORDED["faces"]


def same(found: Tensor, name: str) -> None:
    """The library is given what was recorded: values, shape, dtype, and contiguous memory."""
    expected = RECORDED[name]
    assert found.dtype == expected.dtype and found.is_contiguous()
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)


class Peeler:
    def __init__(self, context: Any, pos: Tensor, tri: Tensor, resolution: list[int]) -> None:
        same(pos, "nvdiffrast.pos")
        same(tri, "nvdiffrast.tri")
        self.layers = iter([RECORDED["nvdiffrast.rast"], RECORDED["nvdiffrast.second"]])

    def __enter__(self) -> "Peeler":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def rasterize_next_layer(self) -> tuple[Tensor, None]:
        return next(self.layers), None


def nvdiffrast() -> dict[str, dict[str, Any]]:
    def rasterize(context: Any, pos: Tensor, tri: Tensor, resolution: list[int], grad_db: bool) -> tuple[Tensor, None]:
        same(pos, "nvdiffrast.pos")
        same(tri, "nvdiffrast.tri")
        assert tuple(resolution) == SIZE and context == "context of cpu"
        return RECORDED["nvdiffrast.rast"], None

    def interpolate(attr: Tensor, rast: Tensor, tri: Tensor) -> tuple[Tensor, None]:
        same(attr, "attributes")
        same(rast, "nvdiffrast.rast")
        return RECORDED["nvdiffrast.color"], None

    def antialias(color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor) -> Tensor:
        for given, name in ((color, "color"), (rast, "rast"), (pos, "pos"), (tri, "tri")):
            same(given, f"nvdiffrast.{name}")
        return RECORDED["nvdiffrast.antialiased"]

    def texture(tex: Tensor, uv: Tensor, uv_da: Tensor, filter_mode: str, boundary_mode: str) -> Tensor:
        same(tex, "texture")
        same(uv, "uv")
        same(uv_da, "nvdiffrast.uv_da")
        assert (filter_mode, boundary_mode) == ("linear-mipmap-linear", "clamp")
        return RECORDED["nvdiffrast.texture"]

    names: dict[str, Any] = {"rasterize": rasterize, "interpolate": interpolate, "antialias": antialias}
    names |= {"texture": texture, "DepthPeeler": Peeler, "RasterizeCudaContext": lambda device: f"context of {device}"}
    return {"nvdiffrast": {}, "nvdiffrast.torch": names}


def pytorch3d() -> dict[str, dict[str, Any]]:
    pictures = iter(range(2))

    class Meshes:
        def __init__(self, verts: list[Tensor], faces: list[Tensor]) -> None:
            (self.verts,), (self.faces,) = verts, faces
            assert self.faces.flatten().tolist() == list(range(len(self.verts)))

    def rasterize_meshes(meshes: Meshes, image_size: tuple[int, int], **options: Any) -> tuple[Tensor, ...]:
        number = next(pictures)
        torch.testing.assert_close(meshes.verts, RECORDED["pytorch3d.verts"][number], atol=2e-6, rtol=0)
        assert image_size == SIZE
        assert options == {"blur_radius": 0.0, "faces_per_pixel": 1, "perspective_correct": False}
        nearest = RECORDED["pytorch3d.pix_to_face"][number : number + 1]
        return nearest, nearest.float(), nearest.float(), nearest.float()

    return {
        "pytorch3d": {},
        "pytorch3d.renderer": {"MeshRasterizer": object},
        "pytorch3d.renderer.mesh": {},
        "pytorch3d.renderer.mesh.rasterize_meshes": {"rasterize_meshes": rasterize_meshes},
        "pytorch3d.structures": {"Meshes": Meshes},
    }


def kaolin() -> dict[str, dict[str, Any]]:
    pictures = iter(range(2))

    def rasterize(height: int, width: int, z: Tensor, image: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        number = next(pictures)
        torch.testing.assert_close(z[0], RECORDED["kaolin.face_vertices_z"][number], atol=2e-6, rtol=0)
        torch.testing.assert_close(image[0], RECORDED["kaolin.face_vertices_image"][number], atol=2e-6, rtol=0)
        assert (height, width) == SIZE and features.shape[:3] == image.shape[:3]
        return torch.zeros(1, height, width, 1), RECORDED["kaolin.face_idx"][number : number + 1]

    return {"kaolin": {}, "kaolin.render": {}, "kaolin.render.mesh": {"rasterize": rasterize}}


LIBRARIES: dict[str, Callable[[], dict[str, dict[str, Any]]]] = {
    "nvdiffrast": nvdiffrast,
    "pytorch3d": pytorch3d,
    "kaolin": kaolin,
}


def install(modules: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, contents in modules.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None, origin="stand-in")
        module.__path__ = []
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)


@contextmanager
def adapter(name: str) -> Iterator[Rasterizer]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        install(LIBRARIES[name](), monkeypatch)
        if name != "pytorch3d":  # these draw on a GPU only; the stand-ins do so anywhere
            module = f"framework.renderers.adapters.{name}.check_on_gpu"
            monkeypatch.setattr(module, lambda name, positions: None)
        yield registry.load_class("renderer", name)(AdapterConfig())


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_contract(name: str) -> None:
    """Fragments, attributes and silhouettes equal those of plain torch, gradients of the interior included."""
    plain = TorchRasterizer()
    expected = plain.rasterize(CLIP, FACES, SIZE)
    with adapter(name) as rasterizer:
        assert rasterizer.name == name
        found = rasterizer.rasterize(CLIP, FACES, SIZE)
        assert torch.equal(found.face_index, expected.face_index)
        torch.testing.assert_close(found.barycentric, expected.barycentric)
        torch.testing.assert_close(found.depth, expected.depth)
        color = rasterizer.interpolate(RECORDED["attributes"], found, FACES)
        torch.testing.assert_close(color, plain.interpolate(RECORDED["attributes"], expected, FACES))
        smooth = rasterizer.antialias(color, found, CLIP, FACES)
        torch.testing.assert_close(smooth, plain.antialias(color, expected, CLIP, FACES))
        behind = rasterizer.peel(CLIP, FACES, found)
        assert torch.equal(behind.face_index, plain.peel(CLIP, FACES, expected).face_index)
        samples = rasterizer.texture(RECORDED["texture"], RECORDED["uv"], RECORDED["derivatives"], "clamp")
        torch.testing.assert_close(samples, RECORDED["nvdiffrast.texture"])


def test_the_recording_is_ours() -> None:
    """What the file says is what the plain-torch rasterizer draws today."""
    from tests.renderers.recording import record

    fresh = record()
    assert fresh.keys() == RECORDED.keys()
    for name, value in fresh.items():
        torch.testing.assert_close(value, RECORDED[name], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LIBRARIES)
def test_without_the_library_the_error_says_how_to_build_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, backends.BACKENDS[name].module, None)
    source = re.escape(f"pip install --no-build-isolation git+{backends.BACKENDS[name].source}")
    with pytest.raises(
        MissingExtra, match=rf"renderer={name} needs the package .*: {source} \(or use renderer=torch\)"
    ):
        registry.load_class("renderer", name)(AdapterConfig())


@pytest.mark.parametrize("name", ["nvdiffrast", "kaolin"])
def test_positions_on_the_cpu_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(LIBRARIES[name](), monkeypatch)
    rasterizer = registry.load_class("renderer", name)(AdapterConfig())
    with pytest.raises(ValueError, match=f"renderer={name} draws on CUDA only, but the positions are on cpu"):
        rasterizer.rasterize(CLIP, FACES, SIZE)


def test_an_empty_scene_asks_no_library() -> None:
    faces = torch.zeros(0, 3, dtype=torch.int64)
    for name in LIBRARIES:
        with adapter(name) as rasterizer:
            found = rasterizer.rasterize(CLIP, faces, (3, 4))
            assert found.face_index.shape == (2, 3, 4) and not found.mask.any()


def test_automatic_choice_takes_the_fastest_that_licence_and_device_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("warp", *(backends.BACKENDS[name].module for name in LIBRARIES)):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setitem(sys.modules, name.partition(".")[0], None)
    assert [backends.fastest(device, "any") for device in ("cpu", "cuda", "mps")] == ["torch"] * 3
    for name in LIBRARIES:
        install(LIBRARIES[name](), monkeypatch)
    assert backends.fastest("cuda", "any") == "nvdiffrast"
    assert backends.fastest("cuda", "commercial") == "kaolin"
    assert backends.fastest("cpu", "any") == "torch"
    install({"warp": {"kernel": object}}, monkeypatch)
    assert backends.fastest("cuda", "commercial") == backends.fastest("cpu", "any") == "warp"


def test_automatic_rasterizer_has_the_name_of_the_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "warp", None)
    assert fastest_rasterizer(AutomaticConfig(), "cpu").name == "torch"


def test_facts_and_registry_name_the_same() -> None:
    assert {*backends.BACKENDS, "auto"} == set(registry.names("renderer"))
    assert {name for names in backends.FASTEST.values() for name in names} == set(backends.BACKENDS)
    assert all(
        device in backends.BACKENDS[name].devices for device, names in backends.FASTEST.items() for name in names
    )
