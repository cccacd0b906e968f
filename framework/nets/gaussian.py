"""The diagonal Gaussian posterior of a variational autoencoder (Kingma & Welling 2014, appendix B)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class DiagonalGaussian:
    """N(mean, exp(log_variance)) per entry; both (B, L, C)."""

    mean: Float[Tensor, "B L C"]
    log_variance: Float[Tensor, "B L C"]

    @staticmethod
    def from_moments(moments: Float[Tensor, "B L C2"]) -> DiagonalGaussian:
        """Halves of the last axis are mean and log-variance; the latter is clamped to [-30, 20]."""
        mean, log_variance = moments.chunk(2, dim=-1)
        return DiagonalGaussian(mean, log_variance.clamp(-30.0, 20.0))

    def sample(self, noise: Float[Tensor, "B L C"] | None = None) -> Float[Tensor, "B L C"]:
        """mean + std * noise; standard normal noise of torch's global generator unless given."""
        noise = torch.randn_like(self.mean) if noise is None else noise
        return self.mean + torch.exp(0.5 * self.log_variance) * noise

    def kl(self) -> Float[Tensor, " B"]:
        """Divergence from N(0, 1) per item, *averaged* over latents and channels (not summed)."""
        terms = self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance
        return 0.5 * terms.flatten(1).mean(dim=1)

    def nll(self, values: Float[Tensor, "B L C"]) -> Float[Tensor, " B"]:
        """Negative log density of `values` per item, *summed* over latents and channels."""
        squared = (values - self.mean).square() / self.log_variance.exp()
        return 0.5 * (math.log(2.0 * math.pi) + self.log_variance + squared).flatten(1).sum(dim=1)
