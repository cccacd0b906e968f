"""The shape autoencoder: a surface point cloud becomes a set of latent vectors, and these an occupancy field.

After 3DShape2VecSet (Zhang et al. 2023) and Michelangelo (Zhao et al. 2023), as CraftsMan (arXiv 2405.14979, section
3.1) uses them. Logits are positive inside. Submodules carry the names of the official state dict below `shape_model.`.

B batch, N surface points, P query points, L latents, W width, E latent channels.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.geometry.sampling import farthest_points
from framework.nets.attention import CrossAttentionBlock, KeysValues, SelfAttentionStack
from framework.nets.gaussian import DiagonalGaussian
from framework.nets.point_embedding import FourierEmbedding
from methods.craftsman.config import ShapeVAEConfig


def chosen_points(total: int, wanted: int) -> int:
    """How many of `total` points the original's sampler chooses for `wanted` queries.

    It is told their share, and rounds total * share in float32 upwards: `wanted`, or one more where the product comes
    out above it (never where `total` is a power of two).
    """
    return int(np.ceil(np.float32(total) * np.float32(wanted / total)))


class ShapeEncoder(nn.Module):
    """Queries gather the point cloud by cross-attention; self-attention refines them."""

    def __init__(self, config: ShapeVAEConfig, embedding: FourierEmbedding) -> None:
        super().__init__()
        self.config = config
        self.embedding = embedding
        width, heads, scale, bias = config.width, config.heads, config.init_scale, config.qkv_bias
        features = embedding.out_dim if config.embed_point_feats else config.point_feats
        self.input_proj = nn.Linear(embedding.out_dim + features, width)
        if config.queries == "learned":
            self.query = nn.Parameter(torch.randn(config.query_count, width) * 0.02)
        self.cross_attn = CrossAttentionBlock(width, heads, width, scale, bias)
        self.self_attn = SelfAttentionStack(config.encoder_layers, width, heads, scale, bias, config.checkpointing)
        self.ln_post = nn.LayerNorm(width)

    def forward(self, surface: Float[Tensor, "B N C"], first_point: Tensor | None = None) -> Float[Tensor, "B L W"]:
        """Tokens of `surface` (xyz in [-1, 1], then `point_feats` features such as unit normals).

        With farthest-point queries the first chosen point is index 0, or `first_point` (B,) of the cloud.
        """
        points, features = surface[..., :3], surface[..., 3:]
        if self.config.embed_point_feats:
            features = self.embedding(features)
        data = self.input_proj(torch.cat([self.embedding(points), features], dim=-1))
        x = self.cross_attn(self._queries(points, data, first_point), self.cross_attn.keys_values(data))
        return self.ln_post(self.self_attn(x))

    def _queries(self, points: Tensor, data: Tensor, first_point: Tensor | None) -> Tensor:
        """Learned vectors, or the projected rows of points spread evenly over the cloud."""
        if self.config.queries == "learned":
            return self.query.expand(len(points), -1, -1)
        start = 0 if first_point is None else first_point
        chosen = farthest_points(points, chosen_points(points.shape[1], self.config.query_count), start=start)
        return data.gather(1, chosen[..., None].expand(-1, -1, data.shape[-1]))


class ShapeDecoder(nn.Module):
    """Query points read the latent tokens by one cross-attention block; each point is independent of the others."""

    def __init__(self, config: ShapeVAEConfig, embedding: FourierEmbedding) -> None:
        super().__init__()
        self.embedding = embedding
        self.query_proj = nn.Linear(embedding.out_dim, config.width)
        self.cross_attn_decoder = CrossAttentionBlock(
            config.width, config.heads, config.width, config.init_scale, config.qkv_bias
        )
        self.ln_post = nn.LayerNorm(config.width)
        self.output_proj = nn.Linear(config.width, config.out_dim)

    def forward(self, points: Float[Tensor, "B P 3"], keys_values: KeysValues) -> Float[Tensor, "B P"]:
        """Logits at `points`, positive inside."""
        x = self.cross_attn_decoder(self.query_proj(self.embedding(points)), keys_values)
        return self.output_proj(self.ln_post(x)).squeeze(-1)


class ShapeVAE(nn.Module):
    """Surface -> posterior over a latent set -> occupancy field."""

    def __init__(self, config: ShapeVAEConfig) -> None:
        super().__init__()
        self.config = config
        embedding = FourierEmbedding(config.num_freqs, config.include_pi)
        width, scale = config.width, config.init_scale
        self.encoder = ShapeEncoder(config, embedding)
        self.pre_kl = nn.Linear(width, 2 * config.embed_dim)
        self.post_kl = nn.Linear(config.embed_dim, width)
        self.transformer = SelfAttentionStack(
            config.decoder_layers, width, config.heads, scale, config.qkv_bias, config.checkpointing
        )
        self.decoder = ShapeDecoder(config, embedding)
        if config.aligned_dim:
            self.projection = nn.Parameter(torch.randn(width, config.aligned_dim) * width**-0.5)

    def encode(
        self, surface: Float[Tensor, "B N C"], first_point: Tensor | None = None
    ) -> tuple[DiagonalGaussian, Tensor]:
        """Posterior over (B, L, E) latents, and the shape embedding.

        The embedding is the projection of the extra token in the aligned variant (B, aligned_dim), else the tokens
        themselves (B, L, W).
        """
        tokens = self.encoder(surface, first_point)
        if not self.config.aligned_dim:
            return DiagonalGaussian.from_moments(self.pre_kl(tokens)), tokens
        return DiagonalGaussian.from_moments(self.pre_kl(tokens[:, 1:])), tokens[:, 0] @ self.projection

    def drop_encoder(self) -> None:
        """Give up what only `encode` needs: decoding latents takes two thirds of the weights."""
        del self.encoder, self.pre_kl

    def decode(self, latents: Float[Tensor, "B L E"]) -> Float[Tensor, "B L W"]:
        """Latent set -> tokens that `field` and `query` read."""
        return self.transformer(self.post_kl(latents))

    def field(self, tokens: Float[Tensor, "B L W"]) -> KeysValues:
        """Keys and values of the tokens, computed once for any number of `query` calls."""
        return self.decoder.cross_attn_decoder.keys_values(tokens)

    def query(self, points: Float[Tensor, "B P 3"], field: KeysValues) -> Float[Tensor, "B P"]:
        """Occupancy logits of `points` (positive inside, 0 on the surface) in the field of `field`."""
        return self.decoder(points, field)
