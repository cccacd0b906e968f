"""Runners of the shape autoencoder and its parts."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from framework.nets.gaussian import DiagonalGaussian
from framework.nets.point_embedding import FourierEmbedding
from methods.craftsman.losses import distance_loss, occupancy_scores, reconstruction_loss
from methods.craftsman.weights import autoencoder_from_official
from tests.parity.fixture import Fixture, FixtureError

_EMBEDDING = re.compile(r"nf(?P<count>\d+)_pi(?P<pi>[01])_in(?P<input>[01])_log(?P<log>[01])")


@torch.inference_mode()
def autoencoder(fixture: Fixture) -> dict[str, Tensor]:
    """Families v1_vae_learned_query, v1_vae_fps, v1_vae_aligned: encode, decode the mean, query.

    Reads the inputs `surface` (B, N, 3 + features) and `queries` (B, P, 3), and the weights with `config` as a user's
    import does: sizes from the state, the rest (`heads`, `include_pi`, `num_latents` with farthest points) from the
    config. Farthest points start at index 0.
    """
    model = autoencoder_from_official(fixture.weights(), fixture.config).shape_model
    posterior, embedding = model.encode(fixture.tensor("surface"))
    tokens = model.decode(posterior.mean)
    return {
        "shape_latents": embedding,
        "shape_embeds": embedding,
        "kl_embed": posterior.mean,
        "kl_embed(mode)": posterior.mean,
        "logvar": posterior.log_variance,
        "kl": posterior.kl(),
        "latents": tokens,
        "logits": model.query(fixture.tensor("queries"), model.field(tokens)),
    }


def fourier_embedder(fixture: Fixture) -> dict[str, Tensor]:
    """Family fourier_embedder: the input `points` (..., 3) embedded once for each output.

    An output's name is its options: nf8_pi0_in1_log1 has 8 frequencies, no factor pi, the input itself, octave spacing.
    """
    points = fixture.tensor("points")
    embedded = {}
    for name in fixture.expected:
        options = _EMBEDDING.fullmatch(name)
        if options is None:
            raise FixtureError(f"the output {name!r} does not follow nf<n>_pi<0|1>_in<0|1>_log<0|1>")
        pi, itself, octaves = (options[flag] == "1" for flag in ("pi", "input", "log"))
        embedding = FourierEmbedding(int(options["count"]), pi, itself, octaves, dim=points.shape[-1])
        embedded[name] = embedding(points)
        if embedding.out_dim != embedded[name].shape[-1]:
            raise FixtureError(f"{name}: out_dim says {embedding.out_dim}, {embedded[name].shape[-1]} came")
    return embedded


def autoencoder_losses(fixture: Fixture) -> dict[str, Tensor]:
    """Family v1_vae_losses: losses of `logits` against `occ` and `sdf`; the posterior of `moments`, sampled with `eps`.

    `occ` and `sdf` may leave their shape open: it is that of `logits`. `nll` is that of the sample.
    """
    logits = fixture.tensor("logits")
    occupancy = fixture.tensor("occ", same=logits.shape).float()
    distance = fixture.tensor("sdf", same=logits.shape)
    posterior = DiagonalGaussian.from_moments(fixture.tensor("moments"))
    mean = posterior.mean.numpy()
    sample = posterior.sample(fixture.tensor("eps", same=mean.shape, mean=mean))
    accuracy, iou = occupancy_scores(logits, occupancy)
    return {
        "loss_logits_bce": reconstruction_loss(logits, occupancy),
        "loss_logits_mse_sdf": distance_loss(logits, distance),
        "loss_kl": posterior.kl().mean(),
        "kl_per_item": posterior.kl(),
        "nll": posterior.nll(sample),
        "posterior_mean": posterior.mean,
        "posterior_std": torch.exp(0.5 * posterior.log_variance),
        "sample": sample,
        "accuracy": accuracy.mean(),
        "iou": iou.mean(),
    }
