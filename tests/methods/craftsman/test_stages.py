"""The stages on a case folder: which views are taken, and that the seed alone decides the mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from framework.artifacts.image import Image
from framework.artifacts.multi_view import MultiView
from framework.config.choice import Choice
from framework.geometry.mesh import Mesh
from framework.nets.config import ClipTextConfig
from framework.pipeline.case import Case
from framework.pipeline.stage import Context, StageError
from framework.renderers.views import canonical_cameras
from methods.craftsman.config import CleanupConfig, ExtractionConfig, ShapeConfig, ViewsConfig
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.stages import Cleanup, Shape, Views, extract_mesh
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


def test_four_views_reach_a_clip_system_in_its_own_recipe(tmp_path: Path, context: Context) -> None:
    """Pictures of any shape, over white; text tower and projections, which come with published weights, are let go."""
    torch.manual_seed(0)
    text = ClipTextConfig(width=8, mlp_width=8, layers=1, heads=1, projection=8)
    clip = Choice("craftsman/clip", tiny.clip_config(text=text))
    diffusion = DiffusionSystem(tiny.diffusion_config(view_encoder=clip)).save(tmp_path / "diffusion")
    case = Case("case", tmp_path / "case")
    for name in ("foreground", "foreground_right", "foreground_back", "foreground_left"):
        case.write(name, Image(np.pad(disc().pixels, ((0, 0), (5, 9), (0, 0)))))
    Views(ViewsConfig(size=16, resampling="clip"), context).run(case)
    views: MultiView = case.read("views")
    assert list(views.images) == ["front", "right", "back", "left"]
    assert all(image.pixels.shape == (16, 16, 3) for image in views.images.values())
    np.testing.assert_array_equal(views.images["back"].pixels[0, 0], 1.0)
    stage = Shape(SHAPE, Context(weights={**context.weights, "diffusion": str(diffusion)}))
    stage.run(case)
    assert len(case.read("mesh").faces) > 0
    assert {name.split(".")[1] for name in stage.diffusion.view_encoder.state_dict()} == {"vision_model"}


def test_views_that_are_not_square_keep_their_proportions(context: Context) -> None:
    wide = Image(np.pad(disc().pixels, ((0, 0), (16, 16), (0, 0))))
    resized = Views(ViewsConfig(size=16), context).resized(wide)
    assert resized.pixels.shape == (16, 16, 4)
    seen = resized.pixels[..., 3] > 0.5
    assert seen.any(axis=0).sum() == seen.any(axis=1).sum()


def test_cleanup_prepares_all_views_as_the_published_program_did(tmp_path: Path, context: Context) -> None:
    case = Case("case", tmp_path)
    for name in ("input", "input_left"):
        case.write(name, Image(np.pad(disc().pixels, ((0, 8), (0, 0), (0, 0)))))
    Cleanup(CleanupConfig(ratio=0.5), context).run(case)
    assert not case.has("foreground_back")
    for name in ("foreground", "foreground_left"):
        pixels = case.read(name).pixels
        assert pixels.shape == (40, 40, 4)
        assert 0.25 * 0.8 < (pixels[..., 3] > 0.5).sum() / (disc().pixels[..., 3] > 0.5).sum() < 0.25 * 1.2
    masked = Cleanup(CleanupConfig(mode="alpha_as_mask", color=(255, 0, 0, 255)), context).cleaned(disc(), "front")
    np.testing.assert_array_equal(masked.pixels[0, 0], [1.0, 0.0, 0.0, 1.0])
    assert Cleanup(CleanupConfig(mode="original"), context).cleaned(case.read("input"), "front").height == 40


def test_cleanup_cuts_out_what_has_no_transparency(context: Context) -> None:
    solid = disc(64).over((1.0, 1.0, 1.0))
    cut = Cleanup(CleanupConfig(), context).cleaned(solid, "front")
    inside = disc(64).pixels[..., 3] > 0.5
    assert ((cut.pixels[..., 3] > 0.5) == inside).mean() > 0.98
    with pytest.raises(StageError, match="left view: everything is transparent"):
        Cleanup(CleanupConfig(), context).cleaned(Image(np.zeros((20, 20, 4), np.float32)), "left")


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
