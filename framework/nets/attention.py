"""Transformer blocks on token sets: self-attention, cross-attention, MLP, and their residual blocks.

Linear layers carry the names of the GPT-2 family (`c_qkv`, `c_q`, `c_kv`, `c_fc`, `c_proj`). Query, key and value are
packed *per head* (rows head0[q|k|v], head1[q|k|v], ...), the layout of Perceiver-style shape models (Zhao et al. 2023,
Michelangelo), so that their weights load unchanged.

B batch, N query tokens, M data tokens, W width, H heads, D = W / H.
"""

from __future__ import annotations

import math

import torch
import torch.utils.checkpoint
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

KeysValues = tuple[Tensor, Tensor]


def _normal_linear(in_features: int, out_features: int, std: float, bias: bool = True) -> nn.Linear:
    """A linear layer with N(0, std^2) weights and a zero bias."""
    layer = nn.Linear(in_features, out_features, bias=bias)
    nn.init.normal_(layer.weight, std=std)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


# Up to this many keys, plain products and a softmax are about twice as fast on a CPU as the fused kernel (measured at
# 64 to 800 keys, forward and backward); beyond, the fused kernel's small memory matters more.
_PLAIN_KEYS = 1024


def attend(q: Float[Tensor, "B H N D"], k: Float[Tensor, "B H M D"], v: Float[Tensor, "B H M D"]) -> Tensor:
    """Softmax attention (B, H, N, D), scale 1/sqrt(D), no mask."""
    if q.device.type != "cpu" or k.shape[-2] > _PLAIN_KEYS:
        return scaled_dot_product_attention(q, k, v)
    weights = torch.softmax((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), dim=-1)
    return weights.to(v.dtype) @ v


def _merge_heads(x_bhnd: Tensor) -> Tensor:
    return x_bhnd.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Multi-head self-attention; scale 1/sqrt(D), no mask, no dropout.

    Weights begin normal with the deviation `init_std`; `qkv_bias`: queries, keys and values have a bias.
    """

    def __init__(self, width: int, heads: int, init_std: float, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.c_qkv = _normal_linear(width, 3 * width, init_std, qkv_bias)
        self.c_proj = _normal_linear(width, width, init_std)

    def forward(self, x: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        """Every token attends to every token."""
        qkv_bhn3d = self.c_qkv(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q, k, v = qkv_bhn3d.chunk(3, dim=-1)
        return self.c_proj(_merge_heads(attend(q, k, v)))


class CrossAttention(nn.Module):
    """Multi-head attention of one token set to another; `keys_values` can be computed once and reused.

    data_width: channels of the other set. `init_std` and `qkv_bias` as for `SelfAttention`.
    """

    def __init__(self, width: int, heads: int, data_width: int, init_std: float, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.c_q = _normal_linear(width, width, init_std, qkv_bias)
        self.c_kv = _normal_linear(data_width, 2 * width, init_std, qkv_bias)
        self.c_proj = _normal_linear(width, width, init_std)

    def keys_values(self, data: Float[Tensor, "B M C"]) -> KeysValues:
        """Keys and values of the data tokens, each (B, H, M, D)."""
        k, v = self.c_kv(data).unflatten(-1, (self.heads, -1)).transpose(1, 2).chunk(2, dim=-1)
        return k, v

    def forward(self, x: Float[Tensor, "B N W"], keys_values: KeysValues) -> Float[Tensor, "B N W"]:
        """Tokens `x` attend to the data behind `keys_values`."""
        q = self.c_q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return self.c_proj(_merge_heads(attend(q, *keys_values)))


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them; the hidden layer is four times as wide."""

    def __init__(self, width: int, init_std: float) -> None:
        super().__init__()
        self.c_fc = _normal_linear(width, 4 * width, init_std)
        self.c_proj = _normal_linear(4 * width, width, init_std)

    def forward(self, x: Float[Tensor, "*batch W"]) -> Float[Tensor, "*batch W"]:
        """Applied to each token alone."""
        return self.c_proj(gelu(self.c_fc(x)))


class SelfAttentionBlock(nn.Module):
    """Pre-norm residual block: self-attention, then the MLP.

    Weights begin with the deviation init_scale / sqrt(width).
    """

    def __init__(self, width: int, heads: int, init_scale: float = 1.0, qkv_bias: bool = True) -> None:
        super().__init__()
        std = init_scale / math.sqrt(width)
        self.attn = SelfAttention(width, heads, std, qkv_bias)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = MLP(width, std)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        """x + attn(ln_1(x)), then + mlp(ln_2(x))."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class CrossAttentionBlock(nn.Module):
    """Pre-norm residual block in which tokens read a second token set; both inputs are normalised.

    data_width: channels of the second set, those of the first if None; init_scale as for `SelfAttentionBlock`.
    """

    def __init__(
        self, width: int, heads: int, data_width: int | None = None, init_scale: float = 1.0, qkv_bias: bool = True
    ) -> None:
        super().__init__()
        data_width = width if data_width is None else data_width
        std = init_scale / math.sqrt(width)
        self.attn = CrossAttention(width, heads, data_width, std, qkv_bias)
        self.ln_1 = nn.LayerNorm(width)
        self.ln_2 = nn.LayerNorm(data_width)
        self.mlp = MLP(width, std)
        self.ln_3 = nn.LayerNorm(width)

    def keys_values(self, data: Float[Tensor, "B M C"]) -> KeysValues:
        """What `forward` needs of the data tokens; compute it once when many query chunks read the same data."""
        return self.attn.keys_values(self.ln_2(data))

    def forward(self, x: Float[Tensor, "B N W"], keys_values: KeysValues) -> Float[Tensor, "B N W"]:
        """x + attn(ln_1(x), data), then + mlp(ln_3(x))."""
        x = x + self.attn(self.ln_1(x), keys_values)
        return x + self.mlp(self.ln_3(x))


class SelfAttentionStack(nn.Module):
    """Self-attention blocks in a row, with optional recomputation of activations in the backward pass."""

    def __init__(
        self, layers: int, width: int, heads: int, init_scale: float, qkv_bias: bool, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.resblocks = nn.ModuleList(SelfAttentionBlock(width, heads, init_scale, qkv_bias) for _ in range(layers))

    def forward(self, x: Float[Tensor, "B N W"]) -> Float[Tensor, "B N W"]:
        """Through all blocks."""
        for block in self.resblocks:
            x = run_block(block, x, checkpointing=self.checkpointing)
        return x


def run_block(block: nn.Module, x: Tensor, checkpointing: bool) -> Tensor:
    """`block(x)`; with `checkpointing` its activations are recomputed in the backward pass instead of stored."""
    if checkpointing and torch.is_grad_enabled():
        return torch.utils.checkpoint.checkpoint(block, x, use_reentrant=False)
    return block(x)
