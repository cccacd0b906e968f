"""From a random code to the code that styles the SDF network."""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from methods.stylesdf.nets.precision import full_precision

SLOPE = 0.2
"""Slope of all leaky rectifiers here and of the initialisation for them."""


class _Layer(nn.Linear):
    """Linear and leaky."""

    def reset_parameters(self) -> None:
        nn.init.kaiming_normal_(self.weight, a=SLOPE)
        bound = sqrt(1.0 / self.in_features)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, codes: Tensor) -> Tensor:
        return leaky_relu(super().forward(codes), SLOPE)


class RendererMapping(nn.Sequential):
    """Three leaky linear layers (B, style_dim) -> (B, style_dim), the last one leaky too; float32 always."""

    def __init__(self, style_dim: int) -> None:
        super().__init__(*(_Layer(style_dim, style_dim) for _ in range(3)))

    def forward(self, codes: Tensor) -> Tensor:
        """Latents (B, style_dim) of codes (B, style_dim)."""
        # What follows multiplies them by frequencies of thirty and more: half precision would be visible.
        with full_precision(codes.device):
            return super().forward(codes.float())
