"""Sizes of networks that several methods build. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from framework.config.errors import ConfigError


@dataclass(kw_only=True)
class ViewEncoderConfig:
    """The encoder `vit`: a small vision transformer over RGBA views, trained from scratch with what it conditions."""

    image_size: int = 96
    """Side of a view in pixels; other sizes are resampled."""
    patch_size: int = 16
    """Side of a patch in pixels."""
    width: int = 192
    """Channels of a token, and of the condition."""
    layers: int = 4
    """Transformer blocks."""
    heads: int = 6
    """Attention heads."""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)
        _check_patches(self.image_size, self.patch_size)
        if self.patch_size & (self.patch_size - 1):
            raise ConfigError("patch_size", f"is {self.patch_size}, expected a power of two.")


@dataclass(kw_only=True)
class ClipVisionConfig:
    """Sizes of CLIP's vision tower. Defaults: ViT-L/14 (Radford et al. 2021)."""

    image_size: int = 224
    """Side of a picture in pixels."""
    patch_size: int = 14
    """Side of a patch in pixels."""
    width: int = 1024
    """Channels of a token."""
    mlp_width: int = 4096
    """Channels inside an MLP."""
    layers: int = 24
    """Transformer blocks."""
    heads: int = 16
    """Attention heads."""
    activation: str = "quick_gelu"
    """Activation of the MLPs, by its name in transformers."""
    norm_eps: float = 1e-5
    """Added to the variance in layer norms."""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)
        _check_patches(self.image_size, self.patch_size)


@dataclass(kw_only=True)
class ClipTextConfig:
    """Sizes of CLIP's text tower and of the projections behind both towers. Defaults: those of ViT-L/14."""

    vocabulary: int = 49408
    """Tokens that the tower knows."""
    positions: int = 77
    """Longest text in tokens."""
    width: int = 768
    """Channels of a token."""
    mlp_width: int = 3072
    """Channels inside an MLP."""
    layers: int = 12
    """Transformer blocks."""
    heads: int = 12
    """Attention heads."""
    activation: str = "quick_gelu"
    """Activation of the MLPs, by its name in transformers."""
    norm_eps: float = 1e-5
    """Added to the variance in layer norms."""
    begin_token: int = 49406
    """Token before a text."""
    end_token: int = 49407
    """Token behind a text; the tower's feature is read there."""
    projection: int = 768
    """Channels of the space that pictures and texts share."""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)


def check_heads(width: int, heads: int) -> None:
    """Raise ConfigError unless `width` channels can be shared by so many attention heads."""
    if width < 1:
        raise ConfigError("width", f"is {width}, expected at least 1.")
    if heads < 1 or width % heads:
        raise ConfigError("heads", f"is {heads}, which does not divide width {width}.")


def check_positive(config: object, *names: str) -> None:
    """Raise ConfigError unless the options `names` of a config are at least 1."""
    for name in names:
        if getattr(config, name) < 1:
            raise ConfigError(name, f"is {getattr(config, name)}, expected at least 1.")


def _check_patches(image_size: int, patch_size: int) -> None:
    if patch_size < 1 or image_size < 1 or image_size % patch_size:
        raise ConfigError("patch_size", f"is {patch_size}, which does not divide image_size {image_size}.")
