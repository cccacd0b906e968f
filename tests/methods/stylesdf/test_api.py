"""The Python interface: the calls of a notebook, which give what `predict` gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from framework.config.errors import ConfigError
from framework.export.mesh_files import load_mesh
from framework.pipeline.case import Case
from framework.pipeline.stage import StageError
from framework.weights.folder import WeightsError
from methods.stylesdf.api import StyleSDF
from methods.stylesdf.config import FullConfig, VolumeConfig
from methods.stylesdf.prediction.config import SampleConfig
from methods.stylesdf.stages import Sample
from tests.methods.stylesdf.ball import SIDE, SIZE, WIDTH, ball_config, context_of, save_ball
from tests.methods.stylesdf.official_files import tiny_content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny weights with a decoder."""
    return save_ball(tmp_path_factory.mktemp("api") / "full")


@pytest.fixture(scope="module")
def model(folder: Path) -> StyleSDF:
    """The same, loaded."""
    return StyleSDF.load(folder, device="cpu")


def test_generate_gives_what_predict_gives(model: StyleSDF, folder: Path, tmp_path: Path) -> None:
    faces = model.generate(identities=2, seed=5, num_views_per_id=3, truncation_ratio=0.7)
    assert [face.seed for face in faces] == [5, 6]
    stage = Sample(SampleConfig(num_views_per_id=3, truncation_ratio=0.7), context_of(folder, seed=5))
    case = Case("case", tmp_path / "case", seed=6)
    stage.run(case)
    for name, value in faces[1].artifacts.items():
        other = case.read(name)
        if hasattr(value, "vectors"):
            assert np.array_equal(value.vectors, other.vectors)
    pictures = case.read("views").images.values()
    assert all(
        np.array_equal(np.asarray(mine), np.asarray(theirs.to_pil()))
        for mine, theirs in zip(faces[1].pictures, pictures, strict=True)
    )
    assert [picture.size for picture in faces[0].pictures] == [(SIZE, SIZE)] * 3
    assert [picture.size for picture in faces[0].thumbnails] == [(SIDE, SIDE)] * 3
    assert faces[0].save(tmp_path / "saved") == tmp_path / "saved"
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == sorted(
        path.name for path in case.folder.iterdir()
    )


def test_views_by_hand_and_fixed_ones(model: StyleSDF) -> None:
    (face,) = model.generate(views=[{"azim": 0.3, "elev": 0.1}, {"fov": 7.0}])
    assert list(face.views.images) == ["00_azim+0.30_elev+0.10", "01_azim+0.00_elev+0.00"]
    (face,) = model.generate(fixed_camera_angles=True)
    assert len(face.pictures) == 13


def test_mesh_and_films(model: StyleSDF, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="extra 'video': av")
    (face,) = model.generate(seed=2)
    mesh = model.mesh(face, tmp_path / "face.glb", surface_resolution=24)
    assert len(load_mesh(tmp_path / "face.glb").faces) == len(mesh.faces) > 100
    options = {"frames": 2, "N_samples": 4, "surface_resolution": 8, "surface_size": 16}
    assert model.video(face, tmp_path / "face.mp4", tmp_path / "surface.mp4", **options) == tmp_path / "face.mp4"
    assert (tmp_path / "surface.mp4").stat().st_size > 100
    model.video(face, tmp_path / "alone.mp4", **options)
    assert (tmp_path / "alone.mp4").read_bytes() == (tmp_path / "face.mp4").read_bytes()


def test_a_photograph(model: StyleSDF, tmp_path: Path) -> None:
    (face,) = model.generate(seed=1)
    quick = {"candidates": 2, "starts": 1, "search_steps": 1, "w_steps": 1, "w_plus_steps": 1, "truncation_mean": 50}
    found = model.invert(face.pictures[0], **quick)
    assert found.artifacts["renderer_latents"].vectors.shape == (1, WIDTH)
    assert 0 <= found.measures["residual"] <= 1
    assert len(found.pictures) == 4
    assert len(model.mesh(found, surface_resolution=16).faces) > 0


def test_published_files_load_as_they_are(tmp_path: Path) -> None:
    content = tiny_content("volume")
    torch.save(content, tmp_path / "models.pt")
    model = StyleSDF.load(tmp_path / "models.pt", device="cpu")
    assert model.loaded.generator.decoder is None
    assert torch.equal(model.loaded.generator.style[0].weight, content["g_ema"]["style.0.weight"])
    (face,) = model.generate(truncation_mean=50)
    assert [picture.size for picture in face.pictures] == [(16, 16)]
    torch.save(tiny_content("full"), tmp_path / "models.pt")
    assert StyleSDF.load(tmp_path / "models.pt", device="cpu").loaded.size == 32


@pytest.mark.parametrize("kind", [FullConfig, VolumeConfig])
def test_new_networks_are_built_by_size(kind: type[FullConfig] | type[VolumeConfig]) -> None:
    model = StyleSDF.build(ball_config(kind), device="cpu")
    assert (model.loaded.generator.decoder is None) == (kind is VolumeConfig)
    (face,) = model.generate(truncation_ratio=1.0)
    assert len(face.pictures) == 1


def test_wrong_options_and_weights(model: StyleSDF, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"generate\.truncation_rati: .*truncation_ratio"):
        model.generate(truncation_rati=0.5)
    with pytest.raises(ConfigError, match=r"truncation_ratio.*is 3"):
        model.generate(truncation_ratio=3.0)
    (face,) = StyleSDF.build(ball_config(VolumeConfig), device="cpu").generate(truncation_mean=50)
    with pytest.raises(StageError, match="decoder_latents"):
        model.video(face, tmp_path / "face.mp4", frames=1)
    with pytest.raises(WeightsError, match="no such"):
        StyleSDF.load(tmp_path / "nothing", device="cpu")


def test_another_method_s_weights_are_refused() -> None:
    with pytest.raises(WeightsError, match="holds weights of 'craftsman/autoencoder', expected those of stylesdf"):
        StyleSDF.load("ckpts/craftsman-small/autoencoder", device="cpu")
