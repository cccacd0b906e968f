"""StyleSDF's stages with tiny weights whose surface is nearly a ball."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from framework.artifacts.latent_set import LatentSet
from framework.config.errors import ConfigError
from framework.geometry.mesh import Mesh
from framework.optional import has
from framework.pipeline.case import Case
from framework.pipeline.stage import Context, StageError
from framework.systems.system import System
from methods.stylesdf.cameras import FIXED_VIEWS
from methods.stylesdf.prediction.config import CameraChanges, MeshConfig, SampleConfig, VideoConfig, ViewConfig
from methods.stylesdf.sampling import OfficialDraws
from methods.stylesdf.stages import MeshStage, Sample, VideoStage, read_cameras
from tests.methods.stylesdf.ball import SIDE, SIZE, WIDTH, context_of, save_ball

SMALL = VideoConfig(frames=4, N_samples=12, surface_resolution=16, surface_size=32)


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ball(tmp_path_factory.mktemp("weights") / "full")


@pytest.fixture(scope="session")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_ball(tmp_path_factory.mktemp("weights") / "volume", with_decoder=False)


@pytest.fixture
def context(full: Path) -> Context:
    return context_of(full)


def sampled(context: Context, folder: Path, seed: int = 3, **options: Any) -> Case:
    """A case after the first stage."""
    case = Case(folder.name, folder, seed)
    Sample(SampleConfig(**options), context).run(case)
    return case


def pixels(case: Case, name: str) -> np.ndarray:
    return np.stack([image.pixels for image in case.read(name).images.values()])


def test_all_that_a_seed_gives(context: Context, tmp_path: Path) -> None:
    case = sampled(context, tmp_path / "a", fixed_camera_angles=True)
    views = case.read("views")
    names = list(views.images)
    assert len(names) == 13 and names[0] == "00_azim+0.00_elev+0.00" and names[1] == "01_azim-0.45_elev+0.00"
    assert names[12].startswith("12_azim+0.00_elev+0.2")
    assert case.read("renderer_latents").vectors.shape == (1, WIDTH)
    assert case.read("decoder_latents").vectors.shape == (4, 2 * WIDTH)
    for many, one, side in (("views", "image", SIZE), ("thumbnails", "thumbnail", SIDE)):
        assert np.array_equal(np.concatenate(list(pixels(case, many)), axis=1), case.read(one).pixels)
        assert case.read(one).pixels.shape == (side, 13 * side, 3)
    assert set(case.writes) == {*Sample.gives, *Sample.may_give}
    cameras = read_cameras(case, MeshStage(MeshConfig(), context).loaded)
    assert torch.allclose(cameras.angles, torch.tensor(FIXED_VIEWS) * torch.tensor([0.3, 0.15]), atol=1e-6)
    assert torch.allclose(cameras.half_fov, torch.tensor(6.0))


def test_pictures_are_the_right_way_round(context: Context, tmp_path: Path) -> None:
    views = [ViewConfig(), ViewConfig(azim=0.4), ViewConfig(elev=0.4), ViewConfig(fov=3.0)]
    front, right, above, close = pixels(sampled(context, tmp_path / "a", views=views), "thumbnails")
    middle, rows = SIDE // 2, slice(5, 11)
    assert front[middle, -5, 0] > front[middle, 4, 0] + 0.1  # red to the right
    assert front[4, middle, 1] > front[-5, middle, 1] + 0.1  # green up
    assert right[rows, rows, 0].mean() > front[rows, rows, 0].mean() + 0.1
    assert above[rows, rows, 1].mean() > front[rows, rows, 1].mean() + 0.1
    assert (close[..., 2] > 0.6).mean() > 2 * (front[..., 2] > 0.6).mean()  # blue is the ball


def test_the_seed_alone_decides(context: Context, tmp_path: Path) -> None:
    first, again, other = (
        sampled(context, tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert np.array_equal(first.read("image").pixels, again.read("image").pixels)
    for name in ("image", "thumbnail"):
        assert not np.array_equal(first.read(name).pixels, other.read(name).pixels)


def test_truncation(context: Context, tmp_path: Path) -> None:
    def latents(psi: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        case = sampled(context, tmp_path / f"{psi}-{seed}", seed, truncation_ratio=psi)
        return case.read("renderer_latents").vectors, case.read("decoder_latents").vectors

    none, half, whole, other = latents(0.0, 3), latents(0.5, 3), latents(1.0, 3), latents(0.0, 4)
    assert np.array_equal(none[0], other[0]) and np.array_equal(none[1], other[1])
    assert np.allclose(half[0], 0.5 * (none[0] + whole[0]), atol=1e-6)
    assert not np.allclose(half[1], 0.5 * (none[1] + whole[1]), atol=1e-3)  # the decoder's are truncated twice


@pytest.mark.parametrize(
    ("fixed_noise", "views", "same"), [("auto", 2, True), ("random", 2, False), ("buffers", 2, True)]
)
def test_noise_of_views(fixed_noise: Any, views: int, same: bool, context: Context, tmp_path: Path) -> None:
    case = sampled(context, tmp_path / "a", views=[ViewConfig() for _ in range(views)], fixed_noise=fixed_noise)
    first, second = pixels(case, "views")
    assert np.array_equal(first, second) == same
    alone = sampled(context, tmp_path / "b", views=[ViewConfig()])
    assert not np.array_equal(pixels(alone, "views")[0], first)  # one view alone has noise of its own


def test_uniform_cameras_and_changed_ranges(context: Context, tmp_path: Path) -> None:
    loaded = MeshStage(MeshConfig(), context).loaded
    changes = CameraChanges(uniform=True, azim=0.1, elev=0.02, fov=5.0)
    cameras = read_cameras(sampled(context, tmp_path / "a", num_views_per_id=40, camera=changes), loaded)
    assert (cameras.angles.abs() <= torch.tensor([0.1, 0.02]) + 1e-6).all()
    assert (cameras.angles.abs() > torch.tensor([0.08, 0.016])).any(0).all()
    assert torch.allclose(cameras.half_fov, torch.tensor(5.0))


def test_training_rendering_differs_and_repeats(context: Context, tmp_path: Path) -> None:
    options = {"views": [ViewConfig(azim=0.3)], "fixed_noise": "buffers"}
    plain = sampled(context, tmp_path / "a", **options)
    training = [sampled(context, tmp_path / name, training_rendering=True, **options) for name in "bc"]
    assert np.array_equal(pixels(training[0], "views"), pixels(training[1], "views"))
    assert not np.array_equal(pixels(training[0], "views"), pixels(plain, "views"))


def test_the_published_order_of_draws(full: Path, tmp_path: Path) -> None:
    """Three identities of ten views, as a program draws them that seeds once and then makes all of them."""
    context = context_of(full, seed=7)
    config = SampleConfig(official_draws=True, num_views_per_id=10, truncation_mean=50)
    stage = Sample(config, context)
    generator, source = stage.loaded.generator, torch.Generator().manual_seed(1234)
    means = generator.mean_latents(torch.randn(50, WIDTH, generator=source))
    expected = []
    for _ in range(3):
        z = torch.randn(1, WIDTH, generator=source)
        angles = torch.cat([torch.randn(10, 1, generator=source), torch.randn(10, 1, generator=source)], dim=1)
        chunks = [
            [torch.randn(count, *shape, generator=source) for shape in generator.decoder.noise_shapes]
            for count in (8, 2)
        ]
        expected.append(
            (z, angles * torch.tensor([0.3, 0.15]), [torch.cat(layer) for layer in zip(*chunks, strict=True)])
        )
    draws = OfficialDraws(stage.loaded, config, first_seed=7)
    assert draws.means is not None and torch.equal(draws.means.renderer, means.renderer)
    for number in (0, 2, 1, 2):  # in any order
        drawn, (z, angles, noise) = draws.of(7 + number), expected[number]
        assert torch.equal(drawn.z, z) and torch.allclose(drawn.cameras.angles, angles)
        assert drawn.noise is not None
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(drawn.noise, noise, strict=True))
    case = Case("seed0008", tmp_path / "seed0008", 8)
    stage.run(case)
    latents = torch.lerp(means.renderer, generator.map(expected[1][0]), 0.5)
    assert np.allclose(case.read("renderer_latents").vectors, latents.detach().numpy(), atol=1e-6)


def test_more_views_than_fit_into_a_row(context: Context, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="32000 views of 32 pixels don't fit"):
        sampled(context, tmp_path / "a", num_views_per_id=32_000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truncation_ratio": -1.0}, "truncation_ratio"),
        ({"num_views_per_id": 0}, "num_views_per_id: is 0"),
        ({"views": [ViewConfig()], "fixed_camera_angles": True}, "views: are given together"),
    ],
)
def test_wrong_options_of_samples(options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SampleConfig(**options)
    with pytest.raises(ConfigError, match="fov: is 90"):
        CameraChanges(fov=90.0)


def test_a_volume_alone(volume: Path, tmp_path: Path) -> None:
    context = context_of(volume)
    case = sampled(context, tmp_path / "a", num_views_per_id=2)
    assert not case.has("decoder_latents")
    assert np.array_equal(pixels(case, "views"), pixels(case, "thumbnails"))
    MeshStage(MeshConfig(surface_resolution=16), context).run(case)
    VideoStage(replace(SMALL, project_noise=True), context).run(case)
    assert shapes_of(case, "video") == [(SIDE, SIDE, 3)] * 4 and not case.has("noise_mesh")


@pytest.fixture
def case(context: Context, tmp_path: Path) -> Case:
    return sampled(context, tmp_path / "case", views=[ViewConfig(), ViewConfig(azim=0.3, elev=-0.15)])


def radii(mesh: Mesh) -> np.ndarray:
    return np.linalg.norm(mesh.vertices - mesh.bounds.mean(axis=0), axis=1)


def test_the_surface_on_a_grid(case: Case, context: Context) -> None:
    MeshStage(MeshConfig(surface_resolution=32, depth_meshes=False), context).run(case)
    mesh: Mesh = case.read("mesh")
    assert mesh.is_watertight and mesh.volume > 0 and not case.has("depth_meshes")
    assert radii(mesh) == pytest.approx(0.059 / 0.12, rel=0.02)  # the cube of half width 0.12 becomes [-1, 1]^3
    colors, centred = mesh.vertex_colors, mesh.vertices - mesh.bounds.mean(axis=0)
    assert colors is not None
    for axis in range(3):
        assert np.corrcoef(colors[:, axis], centred[:, axis])[0, 1] > 0.9


def test_the_published_surface(case: Case, context: Context) -> None:
    MeshStage(MeshConfig(surface_resolution=32, depth_meshes=False), context).run(case)
    grid = case.read("mesh")
    MeshStage(MeshConfig(surface_resolution=32, mesh_mode="frustum", depth_meshes=False), context).run(case)
    frustum = case.read("mesh")
    assert frustum.is_watertight and frustum.volume > 0
    assert np.abs(frustum.bounds - grid.bounds).max() < 0.01 / 0.12  # the first view is frontal
    size, exact = (mesh.bounds[1] - mesh.bounds[0] for mesh in (frustum, grid))
    assert (np.abs(size / exact - 1) < 0.12).all()


def test_sheets_of_all_views(case: Case, context: Context) -> None:
    MeshStage(MeshConfig(surface_resolution=24), context).run(case)
    sheets = case.read("depth_meshes").parts
    assert list(sheets) == ["depth_mesh_view00_azim+0.0_elev+0.0", "depth_mesh_view01_azim+17.2_elev-8.6"]
    front, side = sheets.values()
    assert len(front.faces) == 2 * 23 * 23 and (front.face_normals()[:, 2] > -1e-3).all()
    assert (
        front.bounds[0, 2] < -0.1 / 0.12 and front.bounds[1, 2] > 0.05 / 0.12
    )  # closed: from the far plane to the ball's front
    assert side.bounds[0, 0] < front.bounds[0, 0] - 0.01 / 0.12  # its far plane lies to the left
    MeshStage(MeshConfig(surface_resolution=24, drop_background=True), context).run(case)
    ball = next(iter(case.read("depth_meshes").parts.values()))
    assert ball.bounds[0, 2] > -0.1 / 0.12 and np.abs(ball.bounds).max() < 0.09 / 0.12
    MeshStage(MeshConfig(surface_resolution=24, max_stretch=3.0), context).run(case)
    assert 100 < len(next(iter(case.read("depth_meshes").parts.values())).faces) < 2 * 23 * 23
    MeshStage(MeshConfig(surface_resolution=24, official_names=True), context_of(_weights(context), seed=1)).run(case)
    assert list(case.read("depth_meshes").parts) == [
        "sample_0000002_depth_mesh_azim0_elev0",
        "sample_0000002_depth_mesh_azim17_elev-8",
    ]


def _weights(context: Context) -> Path:
    return context.weights_of("full")


def moved_surface(full: Path, folder: Path, by: float) -> Context:
    """The same weights, all distances larger by `by`."""
    system = System.load(full)
    with torch.no_grad():
        system.generator_average.renderer.network.sigma_linear.bias += by  # type: ignore[union-attr]
    return context_of(system.save(folder / "full"))


@pytest.mark.parametrize("mode", ["grid", "frustum"])
@pytest.mark.parametrize("by", [1.0, -1.0])
def test_no_surface(mode: Any, by: float, full: Path, tmp_path: Path) -> None:
    context = moved_surface(full, tmp_path, by)
    case = sampled(context, tmp_path / "a")
    config = MeshConfig(mesh_mode=mode, surface_resolution=16)
    if (mode, by) == ("frustum", -1.0):  # as published: outside of the view counts as empty, so the view is the solid
        MeshStage(config, context).run(case)
        return
    with pytest.raises(StageError, match="the surface is empty .*Try another seed"):
        MeshStage(config, context).run(case)
    assert case.has("image") and not case.has("mesh")


def test_coarse_surfaces_of_large_networks_are_warned_of(
    context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    MeshStage(MeshConfig(surface_resolution=64), context)
    assert not caplog.records
    monkeypatch.setattr("methods.stylesdf.stages.FULL_WIDTH", WIDTH)
    MeshStage(MeshConfig(surface_resolution=64), context)
    assert "below 128 the surface looks noisy" in caplog.text


def frames_of(case: Case, name: str) -> list[np.ndarray]:
    av = pytest.importorskip("av", reason="extra 'video': av")
    path = case.folder / f"{name}.mp4"
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def shapes_of(case: Case, name: str) -> list[tuple[int, ...]]:
    if not has("av"):
        assert case.has(name)
        return [(SIDE, SIDE, 3)] * 4
    return [frame.shape for frame in frames_of(case, name)]


def test_films(case: Case, context: Context) -> None:
    VideoStage(replace(SMALL, crf=0, surface_crf=0, surface_resolution=24, surface_size=48), context).run(case)
    faces, surfaces = frames_of(case, "video"), frames_of(case, "surface_video")
    assert [frame.shape for frame in faces] == [(SIZE, SIZE, 3)] * 4
    assert [frame.shape for frame in surfaces] == [(48, 48, 3)] * 4
    for film in (faces, surfaces):
        assert np.abs(film[0].astype(int) - film[3]).max() <= 2 and np.abs(film[0].astype(int) - film[1]).max() > 20
    middle = surfaces[0][24, 24].astype(int)
    assert np.ptp(middle) < 12 and 130 < middle.mean() < 240  # the ball's front, under a lamp in front of it
    VideoStage(replace(SMALL, no_surface_renderings=True, azim_video=True, frames=1), context).run(case)
    assert len(frames_of(case, "video")) == 1


def test_a_film_with_noise_on_the_surface(case: Case, context: Context) -> None:
    stage = VideoStage(replace(SMALL, crf=0, project_noise=True, no_surface_renderings=True), context)
    stage.run(case)
    projected = frames_of(case, "video")
    assert case.read("noise_mesh").is_watertight
    VideoStage(replace(SMALL, crf=0, no_surface_renderings=True), context).run(case)
    fixed = frames_of(case, "video")
    assert np.abs(projected[0].astype(int) - fixed[0]).max() > 20
    stage.run(case)
    assert all(np.array_equal(*pair) for pair in zip(frames_of(case, "video"), projected, strict=True))


def test_noise_stays_where_it_is_without_a_surface(
    full: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    context = moved_surface(full, tmp_path, 1.0)
    case = sampled(context, tmp_path / "a")
    with caplog.at_level(logging.WARNING):
        VideoStage(replace(SMALL, frames=1, project_noise=True, no_surface_renderings=True), context).run(case)
    assert "no surface to fix noise to" in caplog.text and case.has("video") and not case.has("noise_mesh")


def test_latents_of_other_weights_are_refused(case: Case, context: Context) -> None:
    case.write("decoder_latents", LatentSet(np.zeros((2, 2 * WIDTH))))
    with pytest.raises(StageError, match=r"'decoder_latents' has shape \(2, 64\), but these weights take \(4, 64\)"):
        VideoStage(SMALL, context).run(case)
    case.remove(["decoder_latents.safetensors"])
    with pytest.raises(StageError, match="'decoder_latents' is missing"):
        VideoStage(SMALL, context).run(case)
    case.write("renderer_latents", LatentSet(np.zeros((1, 8))))
    with pytest.raises(StageError, match="'renderer_latents' has shape"):
        MeshStage(MeshConfig(), context).run(case)
