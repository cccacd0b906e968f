"""CraftsMan's two trainable systems: the shape autoencoder, and the image-conditioned diffusion in its latent space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from framework import registry
from framework.config.errors import ConfigError
from framework.diffusion.losses import diffusion_loss, diffusion_target, predicted_clean
from framework.diffusion.sampling import sample_latents
from framework.diffusion.schedules import random_timesteps, training_scheduler
from framework.nets.clip import TEXT_PARTS
from framework.nets.gaussian import DiagonalGaussian
from framework.systems.draws import Draws
from framework.systems.system import System
from methods.craftsman.config import AutoencoderConfig, DiffusionConfig
from methods.craftsman.losses import occupancy_scores, reconstruction_loss
from methods.craftsman.nets.denoiser import LatentSetDenoiser
from methods.craftsman.nets.shape_vae import ShapeVAE
from methods.craftsman.official.starting import load_denoiser
from methods.craftsman.view_sets import jittered, recolored, refitted

Batch = Mapping[str, Any]

SECTION_SIDE = 96
"""Pixels of a section's side."""


class AutoencoderSystem(System):
    """Trains the shape autoencoder on surface points and occupancy samples (craftsman `ShapeBatch`)."""

    Config: ClassVar[type] = AutoencoderConfig
    registry_name: ClassVar[str] = "craftsman/autoencoder"
    monitor: ClassVar[str] = "val/iou"
    mode: ClassVar[Literal["min", "max"]] = "max"

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config)
        self.shape_model = ShapeVAE(config.shape_model)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Occupancy cross-entropy at the supervision points plus the weighted divergence."""
        posterior, _ = self.shape_model.encode(batch["surface"])
        latents = self._training_latents(posterior, self.draws(len(batch["points"])))
        logits = self._logits(latents, batch["points"])
        loss_logits = reconstruction_loss(logits, batch["occupancy"])
        loss_kl = posterior.kl().mean()
        loss = self.config.lambda_logits * loss_logits + self.config.lambda_kl * loss_kl
        self.log_dict({"train/loss": loss, "train/loss_logits": loss_logits, "train/loss_kl": loss_kl})
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Accuracy and IoU of the posterior mean at logit 0."""
        self._score(batch, "val")

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """The same numbers on the test split."""
        self._score(batch, "test")

    def images(self, batch: Batch) -> dict[str, np.ndarray]:
        """Sections through the middle of the first item's reconstruction, seen from front, right and above."""
        posterior, _ = self.shape_model.encode(batch["surface"][:1])
        axis = torch.linspace(-1, 1, SECTION_SIDE, device=self.device)
        up, right = torch.meshgrid(-axis, axis, indexing="ij")
        middle = torch.zeros_like(up)
        sections = [(right, up, middle), (middle, up, -right), (right, middle, -up)]
        points = torch.stack([torch.stack(section, dim=-1) for section in sections], dim=1)
        inside = self._logits(posterior.mean, points.view(1, -1, 3)).sigmoid().float().cpu()
        picture = 1.0 - inside.view(SECTION_SIDE, len(sections) * SECTION_SIDE, 1).expand(-1, -1, 3)
        return {"sections": picture.numpy()}

    def _score(self, batch: Batch, split: str) -> None:
        posterior, _ = self.shape_model.encode(batch["surface"])
        logits = self._logits(posterior.mean, batch["points"])
        accuracy, iou = occupancy_scores(logits, batch["occupancy"])
        loss = reconstruction_loss(logits, batch["occupancy"])
        scores = {f"{split}/iou": iou.mean(), f"{split}/accuracy": accuracy.mean(), f"{split}/loss_logits": loss}
        self.log_dict(scores, prog_bar=True, batch_size=len(iou))

    def _training_latents(self, posterior: DiagonalGaussian, draws: Draws) -> Tensor:
        if not self.config.sample_posterior:
            return posterior.mean
        as_mean = draws.uniform(1, 1) < self.config.mean_share
        return torch.where(as_mean, posterior.mean, _sample(posterior, draws))

    def _logits(self, latents: Tensor, points: Tensor) -> Tensor:
        return self.shape_model.query(points, self.shape_model.field(self.shape_model.decode(latents)))


class DiffusionSystem(System):
    """Trains denoiser and image encoder on latents: made before (`LatentsData`), or from a batch's surface points."""

    Config: ClassVar[type] = DiffusionConfig
    registry_name: ClassVar[str] = "craftsman/diffusion"
    monitor: ClassVar[str] = "val/iou"
    mode: ClassVar[Literal["min", "max"]] = "max"

    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__(config)
        self.denoiser = LatentSetDenoiser(config.denoiser)
        self.view_encoder = registry.load_class("encoder", config.view_encoder.type)(config.view_encoder.config)
        if self.view_encoder.width != config.denoiser.context_dim:
            raise ConfigError(
                "system.denoiser.context_dim",
                f"is {config.denoiser.context_dim}, but the view encoder's tokens are {self.view_encoder.width} wide.",
            )
        shape = (config.denoiser.latents, config.denoiser.latent_channels)
        self.register_buffer("latent_mean", torch.zeros(shape if config.normalize_latents else ()))
        self.register_buffer("latent_std", torch.ones(shape if config.normalize_latents else ()))
        self.scheduler = training_scheduler(config.schedule)
        # Outside the module tree: the autoencoder is frozen, and has its own weights folder.
        self._autoencoder: list[AutoencoderSystem] = []
        self._begun = False

    def load_own_state(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """As in `System`; a text tower that came with published weights is passed over where there is none here."""
        own, text = self.own_state(), tuple(f"view_encoder.model.{part}" for part in TEXT_PARTS)
        kept = {name: value for name, value in tensors.items() if name in own or not name.startswith(text)}
        super().load_own_state(kept, where)
        self._begun = True

    def setup(self, stage: str) -> None:
        """A new training begins, before its weights may be put in shards; one that goes on gets its own."""
        if stage == "fit" and self.trainer.ckpt_path is None:
            self.begin()

    def begin(self) -> None:
        """Take the parts' start weights and the training set's latent statistics, unless weights brought them."""
        self.view_encoder.begin_training()
        if self.config.denoiser_weights and not self._begun:
            load_denoiser(self.denoiser, self.config.denoiser_weights)
        untouched = not self.latent_mean.any()
        if self.config.normalize_latents and untouched:
            data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
            mean, std = data.latent_statistics()
            self.latent_mean.copy_(mean)
            self.latent_std.copy_(std)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Min-SNR weighted error of the prediction at random timesteps, and what it does to the shape."""
        draws = self.draws(len(batch["views"]))
        views, cameras = self._training_views(batch, draws)
        condition = self._dropped(self.view_encoder(views, cameras), draws)
        loss, clean = self._denoising_loss(batch, condition, draws)
        if self.config.occupancy_weight:
            if "points" not in batch:
                raise ConfigError("data.supervision_points", "is 0, but system.occupancy_weight needs points.")
            loss_logits = reconstruction_loss(self._logits(clean, batch["points"]), batch["occupancy"])
            self.log("train/loss_logits", loss_logits.detach())
            loss = loss + self.config.occupancy_weight * loss_logits
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Loss under all views, and IoU of sampled shapes; an item meets the same noise each time.

        A system that trains on any number of views samples from the front one alone, else from all.
        """
        self._score(batch, "val")

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """The same numbers on the test split."""
        self._score(batch, "test")

    def _score(self, batch: Batch, split: str) -> None:
        views, cameras = batch["views"], batch["world_from_camera"]
        draws = Draws(0, batch["index"].tolist(), device=self.device)
        loss, _ = self._denoising_loss(batch, self.view_encoder(views, cameras), draws)
        known = 1 if self.config.random_views else views.shape[1]
        latents = self.sample_from(
            draws.normal(self.config.denoiser.latents, self.config.denoiser.latent_channels),
            views[:, :known],
            cameras[:, :known],
            steps=self.config.validation_steps,
            guidance=self.config.validation_guidance,
        )
        _, iou = occupancy_scores(self._logits(latents, batch["points"]), batch["occupancy"])
        scores = {f"{split}/iou": iou.mean(), f"{split}/loss": loss}
        self.log_dict(scores, prog_bar=True, batch_size=len(iou))

    @torch.no_grad()
    def sample(
        self,
        views: Float[Tensor, "B K 4 S S"],
        world_from_camera: Float[Tensor, "B K 4 4"],
        *,
        steps: int,
        guidance: float,
        eta: float = 0.0,
        latents: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "B L E"]:
        """Latents in the autoencoder's scale for one to four RGBA views; noise from a CPU `generator`.

        `latents` is how many vectors are sampled, by default those of the config. Raises ValueError when there are
        none, and for another number where each vector has a role of its own.
        """
        denoiser = self.config.denoiser
        count = denoiser.latents if latents is None else latents
        if count < 1:
            raise ValueError(f"latents is {count}, expected at least 1")
        if count != denoiser.latents and (denoiser.latent_positions or self.config.normalize_latents):
            raise ValueError(f"latents is {count}, but these weights tell {denoiser.latents} latents apart")
        noise = torch.randn((len(views), count, denoiser.latent_channels), generator=generator)
        return self.sample_from(
            noise, views, world_from_camera, steps=steps, guidance=guidance, eta=eta, generator=generator
        )

    @torch.no_grad()
    def sample_from(
        self,
        noise: Float[Tensor, "B L E"],
        views: Float[Tensor, "B K 4 S S"],
        world_from_camera: Float[Tensor, "B K 4 4"],
        *,
        steps: int,
        guidance: float,
        eta: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "B L E"]:
        """The same from given standard normal `noise`; the generator is asked only where `eta` wants more."""
        condition = self.view_encoder(views, world_from_camera)
        *_, latents = sample_latents(
            self.denoiser,
            noise.to(condition.device),
            condition,
            self.view_encoder.unconditional(condition),
            self.config.schedule,
            steps=steps,
            guidance=guidance,
            eta=eta,
            generator=generator,
        )
        return self._unscaled(latents)

    def autoencoder(self) -> AutoencoderSystem:
        """The frozen autoencoder named in the config, loaded on first use."""
        if not self._autoencoder:
            system = AutoencoderSystem.load(self.config.autoencoder)
            self._autoencoder.append(system.eval().requires_grad_(False))
        return self._autoencoder[0].to(self.device)

    def images(self, batch: Batch) -> dict[str, np.ndarray]:
        """The first item's views side by side, over white."""
        rgba = batch["views"][0].permute(2, 0, 3, 1).flatten(1, 2).float().cpu().numpy()
        alpha = rgba[..., 3:]
        return {"views": rgba[..., :3] * alpha + (1.0 - alpha)}

    def _unscaled(self, latents: Tensor) -> Tensor:
        return latents / self.config.latent_scale * self.latent_std + self.latent_mean

    def _logits(self, latents: Tensor, points: Tensor) -> Tensor:
        shape_model = self.autoencoder().shape_model
        return shape_model.query(points, shape_model.field(shape_model.decode(latents)))

    def _denoising_loss(self, batch: Batch, condition: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """The loss, and the clean latents that the prediction implies, in the autoencoder's scale."""
        sampled = _sample(self._posterior(batch), draws)
        clean = (sampled - self.latent_mean) / self.latent_std * self.config.latent_scale
        noise = draws.normal(*clean.shape[1:]).to(clean.dtype)
        timesteps = random_timesteps(draws.uniform(), self.config.schedule.train_steps, self.config.timestep_power)
        noisy = self.scheduler.add_noise(clean, noise, timesteps)
        prediction = self.denoiser(noisy, timesteps, condition)
        target = diffusion_target(self.scheduler, clean, noise, timesteps)
        loss = diffusion_loss(
            self.scheduler, prediction, target, timesteps, gamma=self.config.snr_gamma, kind=self.config.loss
        )
        return loss, self._unscaled(predicted_clean(self.scheduler, prediction, noisy, timesteps))

    def _posterior(self, batch: Batch) -> DiagonalGaussian:
        """The latents that stand for the batch's shapes: made before, or by the autoencoder from surface points."""
        if "mean" in batch:
            return DiagonalGaussian(batch["mean"], batch["log_variance"])
        with torch.no_grad():
            return self.autoencoder().shape_model.encode(batch["surface"])[0]

    def _training_views(self, batch: Batch, draws: Draws) -> tuple[Tensor, Tensor]:
        """All views, or the front one and a random number of the others; some refitted, recoloured, moved.

        Small numbers are frequent.
        """
        views, cameras = batch["views"], batch["world_from_camera"]
        if not self.config.random_views:
            return views, cameras
        count = int(torch.randint(0, views.shape[1], (3,), generator=draws.shared).min())
        others = 1 + torch.randperm(views.shape[1] - 1, generator=draws.shared)[:count]
        chosen = torch.cat([torch.zeros(1, dtype=torch.long), others])
        views, cameras = views[:, chosen], cameras[:, chosen]
        refit = draws.uniform(1, 1, 1, 1) < self.config.refit_views
        views = torch.where(refit, refitted(views, self.config.view_fill), views)
        if self.config.recolor_views:
            views = recolored(views, self.config.recolor_views, draws)
        if self.config.jitter_views:
            views = jittered(views, self.config.jitter_views, draws)
        return views, cameras

    def _dropped(self, condition: Tensor, draws: Draws) -> Tensor:
        """The condition, with what stands for no pictures in place of random items (or the batch) and tokens."""
        if self.config.condition_drop == "item":
            dropped = draws.uniform(1, 1) < self.config.condition_dropout
        else:
            once = torch.rand(1, 1, 1, generator=draws.shared) < self.config.condition_dropout
            dropped = once.to(condition.device)
        if self.config.token_dropout:
            dropped = dropped | (draws.uniform(condition.shape[1], 1) < self.config.token_dropout)
        if not dropped.any():
            return condition
        return torch.where(dropped, self.view_encoder.unconditional(condition), condition)


def _sample(posterior: DiagonalGaussian, draws: Draws) -> Tensor:
    """A posterior sample of each item, (B, L, E)."""
    return posterior.sample(draws.normal(*posterior.mean.shape[1:]).to(posterior.mean.dtype))
