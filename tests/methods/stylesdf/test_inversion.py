"""Inversion: a picture that the network itself made leads back to its camera and to the same picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from framework.artifacts.image import Image
from framework.pipeline.case import Case
from framework.pipeline.pipeline import Pipeline
from framework.pipeline.plan import PlannedStage
from methods.stylesdf.cameras import cameras_at
from methods.stylesdf.config import FullConfig, GeneratorConfig, RendererConfig, VolumeConfig
from methods.stylesdf.inversion import Inversion, picture_error
from methods.stylesdf.loaded import Loaded
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.pictures import cameras_of_views, png_picture
from methods.stylesdf.prediction.config import InvertConfig, ViewConfig
from methods.stylesdf.stages import Invert
from tests.methods.stylesdf import ball
from tests.methods.stylesdf.ball import context_of, save_ball

WIDTH, SIDE, SIZE = 16, 16, 32
FALLS = 20.0
"""So many times smaller is the error after the search than that of the best start, at least."""
QUICK = {"candidates": 4, "starts": 2, "search_steps": 2, "w_steps": 2, "w_plus_steps": 2, "truncation_mean": 50}


def learnt(kind: type[VolumeConfig] | type[FullConfig]) -> Loaded:
    """A new network that has learnt about a ball, in colours that follow from the latent."""
    config = kind(
        renderer=RendererConfig(depth=2, width=WIDTH, N_samples=6),
        generator=GeneratorConfig(
            size=SIZE, style_dim=WIDTH, channel_multiplier=1, channel_max=8, renderer_resolution=SIDE
        ),
    )
    torch.manual_seed(0)
    generator = Generator(config.generator, config.renderer, with_decoder=kind is FullConfig)
    renderer, source = generator.renderer, torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(renderer.network.parameters(), lr=1e-3)
    for _ in range(150):
        points = (torch.rand(2, 256, 3, generator=source) * 2 - 1) * 0.12
        distances = renderer.sdf(torch.randn(2, WIDTH, generator=source), points, 0.12)
        loss = (distances - (points.norm(dim=-1) - 0.06)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        renderer.sigmoid_beta.fill_(0.005)
        renderer.network.rgb_linear.weight.mul_(20.0)
    return Loaded(generator.requires_grad_(False).eval(), config)


def made(loaded: Loaded, angles: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """A picture (1, 3, S, S) of a random face, and its renderer latents."""
    z = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(5))
    cameras = cameras_at(torch.tensor([angles]), loaded.config.camera)
    with torch.no_grad():
        found = loaded.generator(cameras, z, options=loaded.rendering())
    picture = found.thumbnail if found.image is None else found.image
    return picture.clamp(-1.0, 1.0), loaded.generator.map(z)


def test_camera_and_picture_are_recovered() -> None:
    loaded = learnt(VolumeConfig)
    angles = (-0.2, 0.15)
    picture, latents = made(loaded, angles)
    found = Inversion(loaded, InvertConfig(truncation_mean=500, candidates=16, starts=2), picture).run(seed=0)
    assert found.codes is None
    assert found.measures["residual"] * FALLS < found.measures["residual_start"]
    assert found.measures["residual"] == found.measures["residual_thumbnail"] < 0.002
    assert found.angles.flatten().tolist() == pytest.approx(angles, abs=0.01)
    assert (found.measures["azimuth"], found.measures["elevation"]) == pytest.approx(angles, abs=0.01)
    assert float((found.latents - latents).norm() / latents.norm()) < 0.05


@pytest.mark.slow
def test_the_decoder_s_codes_are_found_too() -> None:
    loaded = learnt(FullConfig)
    teach_decoder(loaded)
    angles = (-0.2, 0.15)
    picture, _ = made(loaded, angles)
    found = Inversion(loaded, InvertConfig(truncation_mean=500, finalists=4), picture).run(seed=0)
    assert found.measures["residual"] * FALLS < found.measures["residual_start"]
    assert found.angles.flatten().tolist() == pytest.approx(angles, abs=0.02)
    with torch.no_grad():
        cameras = cameras_at(found.angles, loaded.config.camera)
        again = loaded.generator(
            cameras, renderer_latents=found.latents, decoder_codes=found.codes, options=loaded.rendering()
        )
    assert again.image is not None
    difference = float((again.image.clamp(-1, 1) - picture).abs().mean()) / 2
    assert difference == pytest.approx(found.measures["residual"], abs=1e-5)
    # Colours that no latent has: there the free codes come nearer.
    tinted = (picture * torch.tensor([0.4, 1.0, 1.6]).view(1, 3, 1, 1)).clamp(-1, 1)
    quick = {"truncation_mean": 500, "candidates": 4, "starts": 1, "search_steps": 10, "w_steps": 60}
    freed, only_w = (
        Inversion(loaded, InvertConfig(**quick, w_plus_steps=steps), tinted).run(seed=0).measures["residual"]
        for steps in (60, 0)
    )
    assert freed < 0.8 * only_w


def teach_decoder(loaded: Loaded, steps: int = 300) -> None:
    """Bring the decoder's pictures near the enlarged thumbnails, as training does."""
    decoder = loaded.generator.decoder
    assert decoder is not None
    source = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(decoder.requires_grad_(True).parameters(), lr=1e-2, betas=(0.9, 0.99))
    for _ in range(steps):
        z, angles = torch.randn(4, WIDTH, generator=source), torch.randn(4, 2, generator=source)
        cameras = cameras_at(angles * torch.tensor([0.3, 0.15]), loaded.config.camera)
        out = loaded.generator(cameras, z, options=loaded.rendering(), freeze_renderer=True)
        assert out.image is not None
        loss = (out.image - interpolate(out.thumbnail, scale_factor=2, mode="bilinear")).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    decoder.requires_grad_(False)


def test_pictures_are_compared_at_all_sizes() -> None:
    wanted = torch.rand(2, 3, 32, 32)
    assert picture_error(wanted, wanted, 1.0).max() < 0.01
    shifted, faint = wanted.roll(1, dims=3), wanted + 0.01
    assert (picture_error(shifted, wanted, 1.0) > 5 * picture_error(faint, wanted, 1.0)).all()
    flat = picture_error(faint, wanted, 0.0)
    assert torch.allclose(picture_error(faint, wanted, 3.0), flat, atol=0.01)  # a constant has no gradient


def run_stage(folder: Path, case: Case, config: InvertConfig, watch=None) -> bool:  # type: ignore[no-untyped-def]
    planned = PlannedStage("invert", Invert, config)
    return Pipeline([planned], context_of(folder), {"input": Image}).run(case, watch=watch)


@pytest.mark.parametrize("kind", ["full", "volume"])
def test_the_stage_writes_what_sample_writes(kind: str, tmp_path: Path) -> None:
    folder = save_ball(tmp_path / kind, with_decoder=kind == "full")
    case = Case("face", tmp_path / "face", seed=3)
    wide = Image(torch.rand(40, 60, 4).numpy())  # not square, not of the right size, not opaque
    case.write("input", wide)
    said: list[str] = []
    config = InvertConfig(**QUICK, views=[ViewConfig(azim=0.3, fov=7.0)])
    assert run_stage(folder, case, config, lambda _, text: said.append(text))
    views = case.read("views")
    assert [image.width for image in views.images.values()] == [ball.SIZE if kind == "full" else ball.SIDE] * 2
    cameras = cameras_of_views(views.cameras.world_from_camera, views.cameras.clip_from_camera, 0.12)
    record = json.loads((case.folder / "case.json").read_text())["stages"][0]
    measures = record["measures"]
    assert cameras.angles[0].tolist() == pytest.approx([measures["azimuth"], measures["elevation"]], abs=1e-4)
    assert cameras.angles[1].tolist() == pytest.approx([0.3, 0.0], abs=1e-4)
    assert cameras.half_fov.tolist() == pytest.approx([6.0, 7.0], abs=1e-3)
    assert case.read("renderer_latents").vectors.shape == (1, ball.WIDTH)
    assert case.has("decoder_latents") == (kind == "full")
    assert 0 < measures["residual"] <= 1
    assert any("W 1 of 2, step 1 of 2, error " in text for text in said)
    assert any("W+ 1 of 1, step 2 of 2" in text for text in said) == (kind == "full")
    first = next(iter(views.images.values()))
    loaded = Loaded.of(context_of(folder))
    vectors = {name: torch.from_numpy(case.read(name).vectors) for name in ("renderer_latents",)}
    codes = torch.from_numpy(case.read("decoder_latents").vectors)[None] if kind == "full" else None
    with torch.no_grad():
        out = loaded.generator(
            cameras[:1], renderer_latents=vectors["renderer_latents"], decoder_codes=codes, options=loaded.rendering()
        )
    shown = png_picture((out.thumbnail if out.image is None else out.image)[0])
    assert abs(shown.pixels - first.pixels).max() <= 1.5 / 255


def test_the_same_seed_finds_the_same(tmp_path: Path) -> None:
    loaded = Loaded.of(context_of(save_ball(tmp_path / "full")))
    picture = torch.rand(1, 3, ball.SIZE, ball.SIZE) * 2 - 1
    inversion = Inversion(loaded, InvertConfig(**QUICK), picture)
    assert torch.equal(inversion.run(1).latents, inversion.run(1).latents)
    assert not torch.equal(inversion.candidates(1)[-1].offsets, inversion.candidates(2)[-1].offsets)


def test_it_can_be_interrupted(tmp_path: Path) -> None:
    folder = save_ball(tmp_path / "volume", with_decoder=False)
    case = Case("face", tmp_path / "face")
    case.write("input", Image(torch.rand(16, 16, 3).numpy()))

    def interrupt(_: Case, text: str) -> None:
        if "step 2" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(folder, case, InvertConfig(**QUICK), interrupt)
    assert not case.has("renderer_latents")
    again = Case("face", tmp_path / "face")
    assert again.record.status == "running"
    assert run_stage(folder, again, InvertConfig(**QUICK))
    assert again.record.status == "finished"
