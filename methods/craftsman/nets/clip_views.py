"""The published image condition: CLIP's vision tower over views, told by modulation from where each was taken.

Tokens are those behind the tower's last block, without its final norm (arXiv 2405.14979, section 3.2).

B batch, K views, S side in pixels, T tokens per view, W width.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.nets.clip import build_clip, drop_text, vision_tokens
from framework.nets.clip_pixels import clip_pixels, normalized
from framework.nets.view_encoder import CAMERA_FEATURES, camera_features
from framework.weights.checkpoint_file import read_tensor_file
from framework.weights.folder import TENSOR_FILE, WeightsError, check_finite, check_tensors
from framework.weights.resolve import resolve
from methods.craftsman.cameras import camera_labels
from methods.craftsman.config import ClipViewsConfig


class ClipViews(nn.Module):
    """The encoder `craftsman/clip` (see `ViewEncoding`); `model` has the parameter names of transformers' CLIP."""

    def __init__(self, config: ClipViewsConfig) -> None:
        super().__init__()
        self.config = config
        self.width = config.vision.width
        self.model = build_clip(config.vision, config.text, CAMERA_FEATURES if config.camera_modulation else 0)
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(_is_trained(name, config))

    def forward(
        self, views: Float[Tensor, "B K 4 S S"], world_from_camera: Float[Tensor, "B K 4 4"]
    ) -> Float[Tensor, "B KT W"]:
        """Tokens of straight-alpha RGBA views in [0, 1] over white, in view order; other sizes are resampled."""
        flat = views.flatten(0, 1)
        colour, alpha = flat[:, :3], flat[:, 3:]
        pixels = clip_pixels(colour * alpha + (1.0 - alpha), self.config.vision.image_size)
        cameras = camera_features(camera_labels(world_from_camera.flatten(0, 1)))
        modulation = cameras if self.config.camera_modulation else None
        tokens = vision_tokens(self.model.vision_model, pixels, modulation, self.config.checkpointing)
        return self._normalized(tokens.reshape(len(views), -1, self.width))

    def unconditional(self, tokens: Float[Tensor, "B KT W"]) -> Float[Tensor, "B KT W"]:
        """What the tower makes of a black picture with its modulation off, once per view; or zeros.

        The original computes it before any weights of the modulation are loaded, and never trains it.
        """
        if self.config.unconditional == "zeros":
            return torch.zeros_like(tokens)
        side = self.config.vision.image_size
        with torch.no_grad():
            black = vision_tokens(self.model.vision_model, normalized(tokens.new_zeros(1, 3, side, side)))
        views = tokens.shape[1] // black.shape[1]
        return self._normalized(black).to(tokens.dtype).repeat(1, views, 1).expand_as(tokens)

    def _normalized(self, tokens: Tensor) -> Tensor:
        return nn.functional.normalize(tokens, dim=-1) if self.config.normalize else tokens

    def begin_training(self) -> None:
        """Read CLIP's own weights where the config names them, unless the modulation shows that training began before.

        Raises WeightsError when they don't fit. A frozen tower without any is warned of.
        """
        if any(bool(value.any()) for name, value in self.model.named_parameters() if ".mod_norm" in name):
            return
        if self.config.weights:
            load_clip(self.model, self.config.weights)
        elif self.config.freeze:
            warnings.warn(
                "system.view_encoder.weights names no CLIP: unless start_weights= brought one, the frozen tower stays "
                "random. Give a folder that holds it, or system.view_encoder.freeze=false",
                stacklevel=2,
            )

    def drop_unused(self) -> None:
        """Give up text tower and projections, which come with published checkpoints."""
        drop_text(self.model)


def load_clip(model: nn.Module, source: str) -> None:
    """Give `model` the weights of CLIP as transformers saves it (folder or hub id); the modulation stays as it is.

    Parts that `model` has not are left out. Raises WeightsError when there is no such file or it does not fit.
    """
    path = resolve(source) / TENSOR_FILE
    if not path.is_file():
        raise WeightsError(
            f"{path.parent} has no {TENSOR_FILE}. Give a folder or hub id of CLIP, saved by transformers"
        )
    expected = {name: value for name, value in model.state_dict().items() if ".mod_norm" not in name}
    parts = tuple({name.partition(".")[0] for name in expected})
    given = {
        name: value
        for name, value in read_tensor_file(path)[0].items()
        if name.partition(".")[0] in parts and not name.endswith(".position_ids")
    }
    check_tensors({name: tuple(value.shape) for name, value in expected.items()}, given, str(path))
    check_finite(given, str(path))
    model.load_state_dict(given, strict=False)


def _is_trained(name: str, config: ClipViewsConfig) -> bool:
    """Whether a parameter of CLIP is trained; what tokens don't depend on never is."""
    if ".mod_norm" in name:
        return not config.freeze_modulation
    return name.startswith("vision_model.") and ".post_layernorm." not in name and not config.freeze
