"""Runner of colours projected from six views to vertices."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch import Tensor

from framework.geometry.camera import Camera, orbit
from framework.renderers.projection import blended, completed, gather_views, sample_views, visible_faces
from framework.renderers.surface import smooth_normals
from framework.renderers.torch_rasterizer import TorchRasterizer
from tests.parity.expressions import evaluate
from tests.parity.fixture import Fixture, FixtureError

_POWERS = {"linear": 1.0, "square": 2.0}
_WEIGHTS = {
    2: [1, 1],
    4: [2, 0.2, 1, 0.2],
    6: [2, 0.05, 0.2, 1, 0.2, 0.05],
    8: [2, 0.05, 0.2, 0.02, 1, 0.02, 0.2, 0.05],
}
"""The published weights of as many views, where a fixture gives none."""


def color_projection(fixture: Fixture) -> dict[str, Tensor]:
    """Family color_projection: RGBA views to vertex colours, before and after the completion of unseen vertices.

    `config` has `azimuths`, `half_width` or `camera_focal` (its inverse), `distance`, `resolution`, and may have
    `znear`, `zfar`, `weights`, `eps`, `confidence_threshold`, `reweight` (square, linear), `use_alpha` and
    `below_confidence` (smooth, original). Inputs are `vertices`, `faces`, `images` ([B, 4, H, W], stored or by the
    sentence `<expression>, alpha channel thresholded (>t ...), each pixel repeated nxn`) and `initial_colors` (stored,
    or half the normals and a half). The view of the outputs `single_*` is named by their sentence, `view <n>`.
    """
    config = fixture.config
    positions, faces = fixture.tensor("vertices"), fixture.tensor("faces").long()
    pictures = _pictures(fixture)
    cameras = _cameras(config)
    rasterizer = TorchRasterizer()
    resolution = config.get("resolution", 1024)
    views = sample_views(positions, faces, cameras, pictures, rasterizer, resolution, config.get("eps", 0.05))
    single = views[_single(fixture)]
    weights = config.get("weights") or _WEIGHTS[len(views)]
    power = _POWERS[config.get("reweight", "square")]
    threshold = config.get("confidence_threshold", 0.2)
    gathered = gather_views(views, weights, len(positions), power)
    initial = _initial_colors(fixture, smooth_normals(positions, faces))
    colors = blended(gathered, initial, threshold, config.get("below_confidence", "smooth"))
    near = config.get("znear", 1.0)
    ndc = cameras.project(positions) * torch.tensor([-1.0, 1.0, 1.0])
    depth = config["distance"] - positions @ -cameras.forward.t()
    ndc[..., 2] = (depth.t() - near) / (config.get("zfar", 100.0) - near)
    return {
        "initial_colors": initial,
        "visible_faces": visible_faces(positions, faces, cameras, (resolution, resolution), rasterizer),
        "ndc": ndc,
        "single_valid_verts": single.vertices,
        "single_valid_colors": single.colors,
        "single_valid_alpha": single.alpha[:, None],
        "single_cos": single.cosine,
        "colors_no_completion": colors,
        "colors": completed(colors, gathered.weight >= threshold, faces),
    }


def _cameras(config: dict[str, Any]) -> Camera:
    """The published cameras stand so near that the plane through them cuts the body: faces behind it don't count."""
    half_width = config.get("half_width") or 1.0 / config["camera_focal"]
    return Camera.orthographic(orbit(config["azimuths"], 0.0, config["distance"]), half_width, near=0.0, far=100.0)


def _pictures(fixture: Fixture) -> Tensor:
    """(B, H, W, 4) in [0, 1]; opaque where the original was told to leave alpha alone."""
    sentence = fixture.descriptions.get("images", "stored")
    if sentence.startswith("stored"):
        pictures = fixture.input("images")
        pictures = pictures / np.float32(255) if pictures.dtype == np.uint8 else pictures
    else:
        pictures = _made_pictures(sentence, fixture.salt)
    pictures = pictures if pictures.shape[-1] == 4 else np.moveaxis(pictures, 1, -1)
    result = torch.from_numpy(np.ascontiguousarray(pictures, dtype=np.float32))
    if not fixture.config.get("use_alpha", True):
        result[..., 3] = 1.0
    return result


def _made_pictures(sentence: str, salt: int) -> np.ndarray:
    expression, _, remark = sentence.partition("), ")
    pictures = np.array(evaluate(f"{expression.rstrip(')')})", salt))
    threshold = re.search(r"threshold\w* \(>\s*([\d.]+)", remark)
    repeated = re.search(r"repeated (\d+)x(\d+)", remark)
    if pictures.ndim != 4 or pictures.shape[1] != 4:
        raise FixtureError(f"images of shape {pictures.shape}, expected [B, 4, H, W]")
    if threshold:
        pictures[:, 3] = pictures[:, 3] > float(threshold[1])
    if repeated:
        pictures = pictures.repeat(int(repeated[1]), axis=2).repeat(int(repeated[2]), axis=3)
    return pictures


def _initial_colors(fixture: Fixture, normals: Tensor) -> Tensor:
    if str(fixture.descriptions.get("initial_colors", "")).startswith("stored"):
        return fixture.tensor("initial_colors")
    return normals / 2 + 0.5


def _single(fixture: Fixture) -> int:
    found = re.search(r"view (\d+)", str((fixture.facts.get("outputs") or {}).get("single_valid_verts", "")))
    return int(found[1]) if found else 1
