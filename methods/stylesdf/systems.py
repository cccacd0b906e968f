"""StyleSDF's two trainings: the SDF renderer against a pose-aware discriminator, then the decoder above it, frozen.

Both take several optimiser steps for a batch (Or-El et al. 2022, section 3.3 and appendix): the discriminator's, the
generator's, and in the second stage now and then one for the path length. Their weights are three networks under the
published names: `generator`, `discriminator`, and `generator_average`, which predictions use.

B items of a batch, R side of the thumbnail, S side of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor
from torch.optim import Optimizer

from framework.config.errors import ConfigError
from framework.evaluation.image_distances import ImageDistances
from framework.evaluation.image_features import feature_network
from framework.systems.draws import Draws
from framework.systems.system import System
from methods.stylesdf.adversarial import (
    AdamOptions,
    Terms,
    adam_pair,
    chunks,
    frozen_copy,
    lazy_share,
    log_terms,
    take_options,
    train_discriminator,
    train_generator,
    train_uncounted,
    update_average,
)
from methods.stylesdf.augmentation import augment
from methods.stylesdf.config import FullConfig, VolumeConfig
from methods.stylesdf.fakes import Drawn, draw, draw_augmentation, draw_mixed
from methods.stylesdf.losses import (
    PathLength,
    anchor_loss,
    discriminator_loss,
    eikonal_loss,
    generator_loss,
    gradient_penalty,
    minimal_surface_loss,
    path_length,
    viewpoint_loss,
)
from methods.stylesdf.nets.decoder import Decoder
from methods.stylesdf.nets.generator import Generator
from methods.stylesdf.nets.image_discriminator import ImageDiscriminator
from methods.stylesdf.nets.renderer import Rendered
from methods.stylesdf.nets.volume_discriminator import VolumeDiscriminator
from methods.stylesdf.sphere import sphere_loss
from methods.stylesdf.starting import take_generators, take_renderer
from methods.stylesdf.validation import as_picture, sample_sheets

Batch = Mapping[str, Any]

ANCHOR_MARGIN = 0.25
"""Share of the cube's half width by which the front is to be outside, and the centre inside."""


class VolumeSystem(System):
    """Trains renderer and mapping network on thumbnails, after some steps in which the surface becomes a sphere."""

    Config: ClassVar[type] = VolumeConfig
    registry_name: ClassVar[str] = "stylesdf/volume"
    monitor: ClassVar[str] = "val/kid"

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__(config)
        self.automatic_optimization = False
        self.generator = Generator(config.generator, config.renderer, with_decoder=False)
        self.generator_average = frozen_copy(self.generator)
        self.discriminator = VolumeDiscriminator(config.generator, poses=config.loss.view_lambda != 0)
        self.distances = ImageDistances(feature_network())
        self.strength = 0.0
        self._begun = False

    def load_own_state(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """As in `System`; a training begins with these weights then, not with a sphere."""
        super().load_own_state(tensors, where)
        self._begun = True

    def setup(self, stage: str) -> None:
        """A new training takes the sphere that it is given."""
        options = self.config.sphere_init
        if stage != "fit" or self.trainer.ckpt_path is not None:
            return
        if self._begun and options.mode == "run":
            raise ConfigError(
                "system.sphere_init.mode",
                "is run, which would undo start_weights. Give it: system.sphere_init.mode=off",
            )
        if options.mode == "load" and not self._begun:
            take_generators(self, VolumeSystem.load(options.path), options.path)

    def adam_options(self) -> list[AdamOptions]:
        """Learning rates and betas of generator and discriminator."""
        options = self.config.optim
        return [(options.g_lr, options.betas), (options.d_lr, options.betas)]

    def configure_optimizers(self) -> list[Optimizer]:
        """Adam for the generator, whose steps are counted, and for the discriminator."""
        return adam_pair(self.generator, self.discriminator, self.adam_options())

    def on_train_start(self) -> None:
        """Go on with the options of now, whatever a checkpoint brought."""
        take_options(self.trainer.optimizers, self.adam_options())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the strength of the augmentation."""
        checkpoint["adversarial"] = {"strength": self.strength}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it back."""
        self.strength = float(checkpoint["adversarial"]["strength"])

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """A step of the discriminator and one of the generator; first, those towards a sphere."""
        sphere = self.config.sphere_init
        if sphere.mode == "run" and self.config.renderer.sdf and self.global_step < sphere.steps:
            self._sphere_step(self.draws(sphere.batch))
            return
        real = batch["thumbnail"]
        draws = self.draws(len(real))
        numbers, fakes = draw_augmentation(draws, self.config.augment), draw(draws, self.config)
        # Whole: nothing of the discriminator's is so large that it has to be cut.
        train_discriminator(self, len(real), len(real), lambda _: self.discriminator_terms(real, numbers, fakes))
        train_generator(self, draw(draws, self.config))
        update_average(self.generator_average, self.generator, self.config.ema.decay)
        if self.config.renderer.sdf:
            self.log("train/beta", self.generator.renderer.sigmoid_beta.detach())

    def discriminator_terms(self, real: Tensor, numbers: Tensor | None, fakes: Drawn) -> tuple[Tensor, Terms]:
        """The discriminator's loss on thumbnails (B, 3, R, R), and its unweighted terms and mean scores.

        `numbers` augment the real pictures.
        """
        options = self.config.loss
        with torch.no_grad():
            made = torch.cat([self.rendered(fakes.part(rows)).rgb for rows in chunks(len(real), self.config.chunk)])
        real = real.detach().requires_grad_()
        fake_scores, poses = self.discriminator(self.shown(made, fakes.augment))
        real_scores, _ = self.discriminator(self.shown(real, numbers))
        gan, r1 = discriminator_loss(real_scores, fake_scores), gradient_penalty(real_scores, real)
        viewpoint = viewpoint_loss(poses, fakes.cameras.angles) if poses is not None else gan.new_zeros(())
        loss = gan + 0.5 * options.r1 * r1 + options.view_lambda * viewpoint
        scores = {"real_score": real_scores.mean(), "fake_score": fake_scores.mean()}
        terms = {"discriminator": gan, "r1": r1, "d_viewpoint": viewpoint, "sign": real_scores.sign().mean()}
        return loss, terms | scores

    def generator_terms(self, fakes: Drawn) -> tuple[Tensor, Terms]:
        """The generator's loss on a chunk of fakes, and its unweighted terms."""
        options, wanted = self.config.loss, []
        if self.config.renderer.sdf:
            weights = {"gradient": options.eikonal_lambda, "sdf": options.min_surf_lambda + options.anchor_lambda}
            wanted = [name for name, weight in weights.items() if weight]
        rendered = self.rendered(fakes, *wanted)
        scores, poses = self.discriminator(self.shown(rendered.rgb, fakes.augment))
        loss = generator_loss(scores)
        terms = {"generator": loss}
        if poses is not None:
            terms["g_viewpoint"] = viewpoint_loss(poses, fakes.cameras.angles)
            loss = loss + options.view_lambda * terms["g_viewpoint"]
        if rendered.gradient is not None:
            terms["g_eikonal"] = eikonal_loss(rendered.gradient)
            loss = loss + options.eikonal_lambda * terms["g_eikonal"]
        if rendered.sdf is not None:
            terms["g_minimal_surface"] = minimal_surface_loss(rendered.sdf, options.min_surf_beta)
            loss = loss + options.min_surf_lambda * terms["g_minimal_surface"]
            if options.anchor_lambda:
                terms["g_anchor"] = self._anchor(fakes, rendered.sdf)
                loss = loss + options.anchor_lambda * terms["g_anchor"]
        return loss, terms

    def _anchor(self, fakes: Drawn, sdf: Tensor) -> Tensor:
        radius = fakes.cameras.dist_radius
        centre = self.generator.renderer.sdf(self.generator.map(fakes.z[0]), sdf.new_zeros(len(sdf), 1, 3), radius)
        return anchor_loss(sdf[..., 0], centre, margin=ANCHOR_MARGIN * radius)

    def rendered(self, fakes: Drawn, *extras: str) -> Rendered:
        """Thumbnails of a chunk of fakes, with what else the losses want."""
        return self.generator.renderer(
            self.generator.map(fakes.z[0]),
            fakes.cameras,
            self.config.generator.renderer_resolution,
            jitter=fakes.jitter,
            density_noise=fakes.density_noise,
            extras=extras,
        )

    def shown(self, images: Tensor, numbers: Tensor | None) -> Tensor:
        """What the discriminator sees of pictures (B, 3, R, R)."""
        return images if numbers is None else augment(images, numbers, self.strength, self.config.augment)

    def _sphere_step(self, draws: Draws) -> None:
        """Teach the network the distance from a sphere (supplement of Or-El et al. 2022)."""
        optimizer = cast("list[LightningOptimizer]", self.optimizers())[0]
        fakes = draw(draws, self.config)
        jitter = draws.uniform(self.config.generator.renderer_resolution**2, self.config.renderer.N_samples)
        loss = sphere_loss(self.generator, fakes.z[0], fakes.cameras, jitter)
        self.manual_backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        update_average(self.generator_average, self.generator, decay=0.0)
        self.log("train/sphere", loss.detach())

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Compare thumbnails of the average with real ones."""
        fakes = draw(Draws(0, batch["index"].tolist(), device=self.device), self.config)
        made = self.generator_average(fakes.cameras, fakes.z, jitter=fakes.jitter).thumbnail
        self.distances.update(as_picture(batch["thumbnail"]), as_picture(made), batch["index"])

    def on_validation_epoch_end(self) -> None:
        """Log the distances between all real pictures and as many made ones."""
        self.log_dict({f"val/{name}": value for name, value in self.distances.compute().items()})
        self.distances.reset()

    def images(self, batch: Batch) -> dict[str, NDArray[np.floating[Any]]]:
        """Eight faces of the average, each from eight sides."""
        return sample_sheets(self.generator_average, self.config.camera)


class FullSystem(System):
    """Trains the decoder, with its mapping network, on large pictures, above the first stage's renderer as it is."""

    Config: ClassVar[type] = FullConfig
    registry_name: ClassVar[str] = "stylesdf/full"
    monitor: ClassVar[str] = "val/kid"

    def __init__(self, config: FullConfig) -> None:
        super().__init__(config)
        self.automatic_optimization = False
        self.generator = Generator(config.generator, config.renderer, with_decoder=True)
        self.generator.style.requires_grad_(False)
        self.generator.renderer.requires_grad_(False)
        self.generator_average = frozen_copy(self.generator)
        self.discriminator = ImageDiscriminator(config.generator)
        self.distances = ImageDistances(feature_network())
        self.strength = 0.0
        self.path_mean = torch.zeros(())
        self._begun = False

    @property
    def decoder(self) -> Decoder:
        """The live generator's decoder: what is trained."""
        assert self.generator.decoder is not None
        return self.generator.decoder

    def load_own_state(self, tensors: Mapping[str, Tensor], where: str) -> None:
        """As in `System`; a training begins with these weights then, renderer included."""
        super().load_own_state(tensors, where)
        self._begun = True

    def setup(self, stage: str) -> None:
        """A new training takes the first stage's renderer; ConfigError when none is given, or one that does not fit."""
        if stage != "fit" or self.trainer.ckpt_path is not None or self._begun:
            return
        source = self.config.volume
        if not source:
            hint = "Give the first stage: system.volume=<run id or weights of stylesdf/volume>"
            raise ConfigError("system.volume", f"is missing. {hint}")
        take_renderer(self, VolumeSystem.load(source), source)

    def adam_options(self) -> list[AdamOptions]:
        """Learning rates and betas of decoder and discriminator, corrected for their lazy steps."""
        options, loss = self.config.optim, self.config.loss
        shares = lazy_share(loss.g_reg_every), lazy_share(loss.d_reg_every)
        return [(options.lr * part, (options.betas[0] ** part, options.betas[1] ** part)) for part in shares]

    def configure_optimizers(self) -> list[Optimizer]:
        """Adam for the decoder, whose steps are counted, and for the discriminator."""
        return adam_pair(self.decoder, self.discriminator, self.adam_options())

    def on_train_start(self) -> None:
        """Go on with the options of now, whatever a checkpoint brought."""
        take_options(self.trainer.optimizers, self.adam_options())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the running path length and the strength of the augmentation."""
        checkpoint["adversarial"] = {"strength": self.strength, "path_mean": self.path_mean}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take them back."""
        self.strength = float(checkpoint["adversarial"]["strength"])
        self.path_mean = checkpoint["adversarial"]["path_mean"]

    def training_step(self, batch: Batch, batch_index: int) -> None:
        """A step of the discriminator, one of the decoder, and at intervals one for the path length."""
        real, options = batch["image"], self.config.loss
        draws, step = self.draws(len(real)), self.global_step
        numbers = draw_augmentation(draws, self.config.augment)
        self._discriminator_step(real, numbers, self._drawn(draws), step % options.d_reg_every == 0)
        train_generator(self, self._drawn(draws))
        if options.g_reg_every and step % options.g_reg_every == 0:
            rows = slice(0, max(1, len(real) // options.path_batch_shrink))
            self._path_step(self._drawn(draws).part(rows), draws.normal(*real.shape[1:])[rows])
        update_average(self.generator_average, self.generator, self.config.ema.decay)

    def discriminator_terms(
        self, real: Tensor, numbers: Tensor | None, fakes: Drawn, regularize: bool
    ) -> tuple[Tensor, Terms]:
        """The discriminator's loss on a chunk of pictures (B, 3, S, S), and its unweighted terms and mean scores."""
        with torch.no_grad():
            made, _ = self.made(fakes)
        real = real.detach().requires_grad_(regularize)
        fake_scores = self.discriminator(self.shown(made, fakes.augment))
        real_scores = self.discriminator(self.shown(real, numbers))
        loss = discriminator_loss(real_scores, fake_scores)
        terms = {"discriminator": loss, "real_score": real_scores.mean(), "fake_score": fake_scores.mean()}
        if regularize:
            terms["r1"] = gradient_penalty(real_scores, real)
            loss = loss + 0.5 * self.config.loss.r1 * self.config.loss.d_reg_every * terms["r1"]
        return loss, terms | {"sign": real_scores.sign().mean()}

    def generator_terms(self, fakes: Drawn) -> tuple[Tensor, Terms]:
        """The decoder's loss on a chunk of fakes."""
        images, _ = self.made(fakes)
        loss = generator_loss(self.discriminator(self.shown(images, fakes.augment)))
        return loss, {"generator": loss}

    def path_terms(self, fakes: Drawn, noise: Tensor, mean: Tensor) -> PathLength:
        """Path lengths of a chunk of fakes; `noise` (B, 3, S, S) is standard normal, `mean` the running mean before."""
        images, codes = self.made(fakes)
        return path_length(images, codes, noise, mean)

    def made(self, fakes: Drawn) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, S, S) of a chunk of fakes and their codes (B, Ng, 2D); gradients go to the decoder alone."""
        made = self.generator(
            fakes.cameras,
            fakes.z,
            inject_index=fakes.inject_index,
            noise=fakes.noise,
            freeze_renderer=True,
            jitter=fakes.jitter,
            density_noise=fakes.density_noise,
        )
        return made.image, made.codes

    def shown(self, images: Tensor, numbers: Tensor | None) -> Tensor:
        """What the discriminator sees of pictures (B, 3, S, S)."""
        return images if numbers is None else augment(images, numbers, self.strength, self.config.augment)

    def _drawn(self, draws: Draws) -> Drawn:
        return draw_mixed(draws, self.config, self.decoder)

    def _discriminator_step(self, real: Tensor, numbers: Tensor | None, fakes: Drawn, regularize: bool) -> None:
        def terms(rows: slice) -> tuple[Tensor, Terms]:
            shown = None if numbers is None else numbers[rows]
            return self.discriminator_terms(real[rows], shown, fakes.part(rows), regularize)

        train_discriminator(self, len(real), self.config.chunk, terms)

    def _path_step(self, fakes: Drawn, noise: Tensor) -> None:
        """One more step of the decoder, which the trainer does not count."""
        options = self.config.loss

        def terms(rows: slice) -> tuple[Tensor, Terms]:
            found = self.path_terms(fakes.part(rows), noise[rows], self.path_mean)
            self.path_mean = self.trainer.strategy.reduce(found.mean, reduce_op="mean")
            loss = options.path_regularize * options.g_reg_every * found.penalty
            return loss, {"path_length_regularization": found.penalty, "path_length": found.lengths.mean()}

        means = train_uncounted(self, 0, len(fakes.cameras), self.config.chunk, terms)
        log_terms(self, means | {"mean_path_length": self.path_mean})

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Compare pictures of the average with real ones."""
        fakes = draw(Draws(0, batch["index"].tolist(), device=self.device), self.config)
        made = self.generator_average(fakes.cameras, fakes.z, jitter=fakes.jitter).image
        self.distances.update(as_picture(batch["image"]), as_picture(made), batch["index"])

    def on_validation_epoch_end(self) -> None:
        """Log the distances between all real pictures and as many made ones."""
        self.log_dict({f"val/{name}": value for name, value in self.distances.compute().items()})
        self.distances.reset()

    def images(self, batch: Batch) -> dict[str, NDArray[np.floating[Any]]]:
        """Eight faces of the average, each from eight sides, and their thumbnails."""
        return sample_sheets(self.generator_average, self.config.camera)
