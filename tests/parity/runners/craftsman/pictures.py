"""Runners of the published picture clean-up, and of the whole way from four pictures to a mesh."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor

from framework.artifacts.image import Image
from framework.config.build import from_dict
from framework.pipeline.case import Case
from framework.pipeline.inputs import VIEWS, view_artifact
from framework.pipeline.stage import Context
from framework.weights.official import OfficialFiles
from methods.craftsman.cameras import canonical_labels
from methods.craftsman.config import CleanupConfig, ExtractionConfig, ViewsConfig
from methods.craftsman.front_ends import FRONT_ENDS
from methods.craftsman.official.clip_variant import CLIP_CONFIG
from methods.craftsman.official.reading import AUTOENCODER, CONFIG, DIFFUSION, read
from methods.craftsman.stages import Cleanup, Views, extract_mesh, view_tensors
from methods.craftsman.systems import AutoencoderSystem, DiffusionSystem
from tests.parity.fixture import Fixture


def frontend_images(fixture: Fixture) -> dict[str, np.ndarray]:
    """Family v1_frontend_images: `image` (H, W, 4) cleaned up in each mode, and what each front end is given of it.

    `config` has `foreground_ratio` and `background` (three or four numbers, 0 to 255). Front ends are given the
    picture whose background was removed at ratio 1.
    """
    image = Image.from_uint8(fixture.input("image"))
    ratio, colour = fixture.config["foreground_ratio"], fixture.config["background"]
    colour = (*colour, 255)[:4]

    def cleaned(mode: Any, ratio: float) -> np.ndarray:
        config = CleanupConfig(mode=mode, ratio=ratio, color=colour)
        return Cleanup(config, Context()).cleaned(image, "front").to_uint8()

    whole = cleaned("remove", 1.0)
    given = {
        f"{name}_input": np.asarray(front_end.prepare(PilImage.fromarray(whole), colour))
        for name, front_end in FRONT_ENDS.items()
    }
    modes = {"alpha as mask": cleaned("alpha_as_mask", ratio), "remove(alpha present)": cleaned("remove", ratio)}
    return {"ratio 1": whole, "original": cleaned("original", ratio)} | modes | given


@torch.inference_mode()
def pipeline(fixture: Fixture) -> dict[str, Any]:
    """Family v1_pipeline: an official checkpoint imported, four pictures put through the stages, noise `x_T` denoised.

    The numbers that no shape tells are read from `config`: `heads` and `include_pi` of the sections `shape_model` and
    `denoiser`, `heads` of `clip vision` and `clip text`; and `steps`, `guidance_scale`, `octree_depth`, `bounds`.
    A section is a mapping with the published names, or a sentence of pairs ("width 64, heads 4, no pi").
    `views` is an expression of i = 0..3, `queries` are points of the field. `vertices_head` and `faces_head` are the
    first ones.
    """
    autoencoder, diffusion = _imported(fixture)
    config = fixture.config
    views, cameras = _staged_views(fixture, diffusion.view_encoder.config.vision.image_size)
    embeds = diffusion.view_encoder(views, cameras)
    latents = diffusion.sample_from(
        fixture.tensor("x_T"), views, cameras, steps=config["steps"], guidance=config["guidance_scale"]
    )
    tokens = autoencoder.shape_model.decode(latents)
    extraction = ExtractionConfig(
        depth=config["octree_depth"], bounds=config["bounds"], exact=True, grid_mapping="official"
    )
    mesh = extract_mesh(autoencoder.shape_model, latents, extraction)
    heads = {name: len(fixture.expected.get(f"{name}_head", ())) for name in ("vertices", "faces")}
    empty = diffusion.view_encoder.unconditional(embeds)
    return {
        "embeds_inference": embeds.unflatten(1, (len(VIEWS), -1))[0],
        "embeds_training": _training_embeds(fixture, diffusion, cameras),
        "empty_image_embeds": empty.unflatten(1, (len(VIEWS), -1))[:, 0],
        "final_latents": latents,
        "decoded": tokens,
        "logits": autoencoder.shape_model.query(fixture.tensor("queries"), autoencoder.shape_model.field(tokens)),
        "n_vertices": len(mesh.vertices),
        "vertices_head": mesh.vertices[: heads["vertices"]],
        "faces_head": mesh.faces[: heads["faces"]],
    }


def _imported(fixture: Fixture) -> tuple[AutoencoderSystem, DiffusionSystem]:
    """Both systems, through the import of official checkpoints."""
    sections = {name: _section(fixture, name) for name in ("shape_model", "denoiser", "clip vision", "clip text")}
    official = {"shape_model": sections["shape_model"], "denoiser_model": sections["denoiser"]}
    heads = {name: sections[f"clip {name}"]["heads"] for name in ("vision", "text")}
    towers = {f"{name}_config": {"num_attention_heads": count} for name, count in heads.items()}
    tensors = fixture.weights() | {"condition.cameras": canonical_labels()}
    texts = {CONFIG: json.dumps({"system": official}), CLIP_CONFIG: json.dumps(towers)}
    files = OfficialFiles(tensors, texts, where=fixture.name)
    systems = []
    for system, name in ((AutoencoderSystem, AUTOENCODER), (DiffusionSystem, DIFFUSION)):
        saved = read(files, name)
        built = system(from_dict(system.Config, saved.config)).eval()
        built.load_own_state(saved.tensors, where=fixture.name)
        systems.append(built)
    return systems[0], systems[1]


def _section(fixture: Fixture, name: str) -> dict[str, Any]:
    section = fixture.config[name]
    if isinstance(section, dict):
        return section
    pairs = {key: int(value) for key, value in re.findall(r"(\w+) (\d+)\b", section)}
    known = {"num_latents", "heads", "width", "num_freqs"}
    return {key: value for key, value in pairs.items() if key in known} | {"include_pi": "no pi" not in section}


def _staged_views(fixture: Fixture, side: int) -> tuple[Tensor, Tensor]:
    """Pixels (1, 4, 4, S, S) and cameras (1, 4, 4, 4) as the stages hand them on."""
    with tempfile.TemporaryDirectory() as folder:
        case = Case("case", Path(folder))
        for number, view in enumerate(VIEWS):
            case.write(view_artifact("foreground", view), Image.from_uint8(_picture(fixture, number)))
        Views(ViewsConfig(size=side, resampling="clip"), Context()).run(case)
        views, cameras = view_tensors(case.read("views"), torch.device("cpu"))
    return views[None], cameras[None]


def _training_embeds(fixture: Fixture, diffusion: DiffusionSystem, cameras: Tensor) -> Tensor:
    """(1, 4, T, W) of the same pictures as a training batch: floats at their own size."""
    rgb = np.stack([_picture(fixture, number) for number in range(len(VIEWS))])
    pixels = torch.from_numpy(rgb).permute(0, 3, 1, 2)[None].float() / 255
    solid = torch.cat([pixels, torch.ones_like(pixels[:, :, :1])], dim=2)
    return diffusion.view_encoder(solid, cameras).unflatten(1, (len(VIEWS), -1))


def _picture(fixture: Fixture, number: int) -> np.ndarray:
    return fixture.input("views", i=number)[..., :3]
