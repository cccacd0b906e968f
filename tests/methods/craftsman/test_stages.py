"""The stages on a case folder: which views are taken, and that the seed alone decides the mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from framework.artifacts.image import Image
from framework.artifacts.multi_view import MultiView
from framework.geometry.mesh import Mesh
from framework.pipeline.case import Case
from framework.pipeline.stage import Context, StageError
from framework.renderers.views import canonical_cameras
from methods.craftsman.config import ExtractionConfig, ShapeConfig, ViewsConfig
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.stages import Shape, Views, extract_mesh
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem
from tests.methods.craftsman import tiny


def disc(size: int = 32) -> Image:
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    alpha = (rows**2 + columns**2 < (0.35 * size) ** 2).astype(np.float32)
    return Image(np.stack([alpha * 0.8, alpha * 0.4, alpha * 0.2, alpha], axis=-1))


def case_with(folder: Path, *names: str, seed: int = 0) -> Case:
    case = Case("case", folder, seed)
    for name in names:
        case.write(name, disc())
    return case


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    """Untrained weights whose field crosses zero: the last bias is moved to the median logit."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    autoencoder = AutoencoderSystem(tiny.autoencoder_config())
    centre(autoencoder.shape_model)
    weights = {
        "autoencoder": str(autoencoder.save(folder / "autoencoder")),
        "diffusion": str(DiffusionSystem(tiny.diffusion_config()).save(folder / "diffusion")),
    }
    return Context(weights=weights)


@torch.no_grad()
def centre(model: ShapeVAE) -> None:
    field = model.field(model.decode(torch.randn(1, 8, 4)))
    logits = model.query(2.0 * torch.rand(1, 2000, 3) - 1.0, field)
    model.decoder.output_proj.bias -= logits.median()


SHAPE = ShapeConfig(steps=2, guidance=2.0, extraction=ExtractionConfig(depth=4))


def test_the_front_comes_first_and_given_views_follow(tmp_path: Path, context: Context) -> None:
    case = case_with(tmp_path, "foreground", "foreground_left", "foreground_right")
    Views(ViewsConfig(size=16), context).run(case)
    views: MultiView = case.read("views")
    assert list(views.images) == ["front", "right", "left"]
    assert all(image.pixels.shape == (16, 16, 4) for image in views.images.values())
    assert views.cameras is not None
    expected = canonical_cameras().world_from_camera[[0, 1, 3]]
    torch.testing.assert_close(views.cameras.world_from_camera.float(), expected.float())


def test_one_picture_is_enough_and_the_seed_decides(tmp_path: Path, context: Context) -> None:
    stage, meshes = Shape(SHAPE, context), []
    for number, seed in enumerate((1, 1, 2)):
        case = case_with(tmp_path / str(number), "foreground", seed=seed)
        Views(ViewsConfig(size=16), context).run(case)
        stage.run(case)
        meshes.append(case.read("mesh"))
    assert all(isinstance(mesh, Mesh) for mesh in meshes)
    np.testing.assert_array_equal(meshes[0].vertices, meshes[1].vertices)
    assert not np.array_equal(meshes[0].vertices[:50], meshes[2].vertices[:50])


def test_views_without_cameras_are_refused(tmp_path: Path, context: Context) -> None:
    case = Case("case", tmp_path)
    case.write("views", MultiView({"front": disc(16)}))
    with pytest.raises(StageError, match="no cameras"):
        Shape(SHAPE, context).run(case)


def test_missing_weights_name_the_option() -> None:
    with pytest.raises(StageError, match=r"weights\.diffusion="):
        Shape(SHAPE, Context())


@torch.no_grad()
def test_an_empty_field_is_an_error() -> None:
    torch.manual_seed(0)
    model = ShapeVAE(tiny.autoencoder_config().shape_model)
    model.decoder.output_proj.bias -= 100.0
    with pytest.raises(StageError, match="empty"):
        extract_mesh(model, torch.randn(1, 8, 4), ExtractionConfig(depth=4))


@torch.no_grad()
def test_faces_are_limited() -> None:
    pytest.importorskip("fast_simplification", reason="extra 'mesh': fast-simplification")
    torch.manual_seed(0)
    model, latents = ShapeVAE(tiny.autoencoder_config().shape_model), torch.randn(1, 8, 4)
    centre(model)
    mesh = extract_mesh(model, latents, ExtractionConfig(depth=4))
    fewer = extract_mesh(model, latents, ExtractionConfig(depth=4, faces=len(mesh.faces) // 2))
    assert len(fewer.faces) <= len(mesh.faces) // 2
