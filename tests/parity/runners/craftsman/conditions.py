"""Runners of the image condition: CLIP with camera modulation, its preprocessing, the cameras' labels."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from torch import Tensor

from framework.data.view_cameras import rotated_cameras
from framework.nets.clip import build_clip, pooled, vision_tokens
from framework.nets.clip_pixels import clip_pixels, picture_pixels
from framework.nets.config import ClipTextConfig, ClipVisionConfig
from framework.nets.view_encoder import camera_features
from methods.craftsman.cameras import camera_labels, canonical_labels
from tests.parity.fixture import Fixture, FixtureError

_PREPROCESSED = re.compile(r"(?P<recipe>infer|train)_(?P<height>\d+)x(?P<width>\d+)")


@torch.inference_mode()
def clip_modln(fixture: Fixture) -> dict[str, Tensor]:
    """Family v1_clip_modln: both towers, with the vision tower modulated by the stored `camera_embeds` (B, C).

    `config` has the sections `vision` and `text` with transformers' names, `modulation_dim`, `projection_dim`, `act`
    and `layer_norm_eps`; inputs are `pixel_values` (B, 3, S, S) and `text ids` (B, N). The statistics are those of
    `last_hidden_state`.
    """
    model = build_clip(_vision(fixture.config), _text(fixture.config), fixture.config["modulation_dim"]).eval()
    model.load_state_dict(fixture.network_weights())
    pixels, condition = fixture.tensor("pixel_values"), fixture.tensor("camera_embeds")
    tower = model.vision_model
    tokens = vision_tokens(tower, pixels, condition)
    features = pooled(tower, tokens)
    return {
        "camera_embeds": condition,
        "embeddings": tower.embeddings(pixels),
        "last_hidden_state": tokens,
        "stats": tokens,
        "pooler_output": features,
        "image_features": model.visual_projection(features),
        "text_last_hidden_state": model.text_model(fixture.tensor("text ids").long()).last_hidden_state,
    }


def _vision(config: dict[str, Any]) -> ClipVisionConfig:
    part = config["vision"]
    return ClipVisionConfig(image_size=part["image_size"], patch_size=part["patch_size"], **_tower(config, part))


def _text(config: dict[str, Any]) -> ClipTextConfig:
    part = config["text"]
    return ClipTextConfig(
        vocabulary=part["vocab_size"],
        positions=part.get("max_position_embeddings", 77),
        begin_token=part["bos_token_id"],
        end_token=part["eos_token_id"],
        projection=config["projection_dim"],
        **_tower(config, part),
    )


def _tower(config: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return {
        "width": part["hidden_size"],
        "mlp_width": part["intermediate_size"],
        "layers": part["num_hidden_layers"],
        "heads": part["num_attention_heads"],
        "activation": config["act"],
        "norm_eps": config["layer_norm_eps"],
    }


def clip_preprocess(fixture: Fixture) -> dict[str, Tensor]:
    """Family clip_preprocess: `image`, an expression of h and w, once for each output that the fixture names.

    `infer_<h>x<w>` drops alpha and works on 8 bits, `train_<h>x<w>` composites over white and works on floats; the
    side of the result is told by the statistics' shape, else 224.
    """
    outputs = {}
    for name in _names(fixture):
        options = _PREPROCESSED.fullmatch(name)
        if options is None:
            raise FixtureError(f"the output {name!r} does not follow infer|train_<height>x<width>")
        picture = fixture.input("image", h=int(options["height"]), w=int(options["width"]))
        side = _statistics(fixture).get(name, {}).get("shape", [224])[-1]
        if options["recipe"] == "infer":
            outputs[name] = picture_pixels(Image.fromarray(picture), side)[None]
        else:
            rgba = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
            outputs[name] = clip_pixels(rgba[:, :3] * rgba[:, 3:] + (1 - rgba[:, 3:]), side)
    return outputs


def _statistics(fixture: Fixture) -> dict[str, Any]:
    return fixture.facts.get("outputs", {}).get("stats", {})


def _names(fixture: Fixture) -> set[str]:
    stored = (name.partition("[")[0] for name in fixture.expected if not name.startswith("input."))
    return {*stored, *_statistics(fixture)}


def cameras(fixture: Fixture) -> dict[str, Tensor | np.ndarray]:
    """Family v1_cameras: labels of the canonical cameras, turned by the Euler angles `euler` (radians), and embedded.

    The angles turn about the fixed x, y and z axes in this order; without them the stored matrix `rots` is used.
    """
    if "euler" in fixture.descriptions:
        turn = Rotation.from_euler("xyz", fixture.input("euler")).as_matrix()
    else:
        turn = fixture.input("rots")
    rotation = np.eye(4)
    rotation[:3, :3] = turn[:3, :3]
    labels = canonical_labels()
    turned = camera_labels(torch.from_numpy(rotated_cameras(rotation)))
    return {
        "cameras": labels,
        "embedding": camera_features(labels),
        "rots": turn,
        "rotated c2ws": turned,
        "rotated embedding": camera_features(turned),
    }
