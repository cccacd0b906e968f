"""StyleSDF's generator: latent codes and cameras become thumbnails and, with a decoder, large pictures.

B items, D numbers of a code, G layers of the decoder, R and S sides of thumbnail and picture. Names of parameters and
buffers are the published ones. The renderer's latents (W, D numbers) and the decoder's codes (W+, G times 2D numbers)
are two things, given by two arguments.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from methods.stylesdf.cameras import ViewCameras
from methods.stylesdf.config import GeneratorConfig, RendererConfig
from methods.stylesdf.nets.decoder import Decoder
from methods.stylesdf.nets.mapping import RendererMapping
from methods.stylesdf.nets.renderer import Rendered, SdfRenderer


@dataclass(frozen=True, eq=False)
class MeanLatents:
    """Centres that truncation pulls latents to."""

    renderer: Float[Tensor, "1 D"]
    """Mean of the renderer's latents."""

    decoder: Float[Tensor, "1 D2"] | None = None
    """Mean of the decoder's latents; None without a decoder."""


@dataclass(frozen=True, eq=False)
class GeneratorOutput:
    """What the generator makes of latents and cameras."""

    rendered: Rendered
    """The thumbnail and what else the renderer was asked for."""

    image: Float[Tensor, "B 3 S S"] | None = None
    """Pictures, nominally in [-1, 1]; None for thumbnails alone."""

    codes: Float[Tensor, "B G D2"] | None = None
    """The decoder's codes of these pictures: what path lengths are measured along."""

    @property
    def thumbnail(self) -> Float[Tensor, "B 3 R R"]:
        """Rendered pictures in [-1, 1]."""
        return self.rendered.rgb


class Generator(nn.Module):
    """Mapping network, SDF renderer and, `with_decoder`, the decoder."""

    def __init__(self, generator: GeneratorConfig, renderer: RendererConfig, *, with_decoder: bool) -> None:
        super().__init__()
        self.resolution = generator.renderer_resolution
        self.style_dim = generator.style_dim
        self.style = RendererMapping(generator.style_dim)
        self.renderer = SdfRenderer(renderer, generator.style_dim)
        self.decoder = Decoder(generator) if with_decoder else None

    def map(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """The renderer's latents of standard normal codes."""
        return self.style(z)

    def mean_latents(self, z: Float[Tensor, "N D"]) -> MeanLatents:
        """Means over the latents of many codes; no gradients."""
        with torch.no_grad():
            latents = self.map(z)
            decoder = None if self.decoder is None else self.decoder.map(latents).mean(dim=0, keepdim=True)
            return MeanLatents(latents.mean(dim=0, keepdim=True), decoder)

    def truncated(self, latents: Float[Tensor, "B D"], psi: float, means: MeanLatents | None) -> Tensor:
        """The renderer's latents moved to their mean: mean + psi * (latents - mean); psi 1 needs no `means`.

        ValueError where they are needed and missing.
        """
        return latents if psi == 1.0 else torch.lerp(_given(means).renderer, latents, psi)

    def decoder_codes(
        self,
        latents: Sequence[Float[Tensor, "B D"]],
        inject_index: int | None = None,
        *,
        psi: float = 1.0,
        means: MeanLatents | None = None,
    ) -> Float[Tensor, "B G D2"]:
        """The decoder's codes of one or two renderer latents, truncated ones where truncation is wanted.

        Layers before `inject_index` take the first one, the others the second (drawn from 1 to G - 1 if not given).
        `psi` truncates the decoder's own latents, after the renderer's: published pictures are truncated twice.
        ValueError for other numbers of latents, and without a decoder.
        """
        decoder = self._decoder()
        if len(latents) not in (1, 2):
            raise ValueError(f"decoder codes are mixed from one or two latents, {len(latents)} were given")
        mapped = [decoder.map(latent) for latent in latents]
        if psi != 1.0:
            center = _given(means).decoder
            if center is None:
                raise ValueError("these mean latents have none of the decoder: make them with its generator")
            mapped = [torch.lerp(center, latent, psi) for latent in mapped]
        layers = decoder.layers
        if len(mapped) == 1:
            return mapped[0][:, None].expand(-1, layers, -1)
        first = int(torch.randint(1, layers, ())) if inject_index is None else inject_index
        return torch.stack([mapped[0]] * first + [mapped[1]] * (layers - first), dim=1)

    def forward(
        self,
        cameras: ViewCameras,
        z: Float[Tensor, "B D"] | Sequence[Float[Tensor, "B D"]] | None = None,
        *,
        renderer_latents: Float[Tensor, "B D"] | Sequence[Float[Tensor, "B D"]] | None = None,
        decoder_codes: Float[Tensor, "B G D2"] | None = None,
        psi: float = 1.0,
        means: MeanLatents | None = None,
        inject_index: int | None = None,
        noise: Sequence[Tensor] | None = None,
        with_image: bool = True,
        freeze_renderer: bool = False,
        options: RendererConfig | None = None,
        jitter: Tensor | None = None,
        density_noise: Tensor | None = None,
        extras: Collection[str] = (),
    ) -> GeneratorOutput:
        """Thumbnails of B cameras and, if there is a decoder and `with_image`, large pictures.

        Either codes `z` or `renderer_latents`, one or two: the second styles the decoder only (`decoder_codes` tells
        how). `psi` and `means` truncate them, in the renderer and in the decoder. Given `decoder_codes` are taken as
        they are. `noise`: maps of each decoder layer, None: its fixed ones. `freeze_renderer` runs mapping and
        renderer without gradients. The rest goes to the renderer. ValueError for contradicting arguments.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not freeze_renderer):
            latents = [self.truncated(latent, psi, means) for latent in self._latents(z, renderer_latents)]
            decodes = self.decoder is not None and with_image
            wanted = {*extras, "features"} if decodes else extras
            rendered = self.renderer(
                latents[0],
                cameras,
                self.resolution,
                options=options,
                jitter=jitter,
                density_noise=density_noise,
                extras=wanted,
            )
        if not decodes:
            return GeneratorOutput(rendered)
        if decoder_codes is None:
            decoder_codes = self.decoder_codes(latents, inject_index, psi=psi, means=means)
        image = self._decoder()(rendered.features, decoder_codes, noise)
        return GeneratorOutput(rendered, image, decoder_codes)

    def _latents(
        self, z: Tensor | Sequence[Tensor] | None, renderer_latents: Tensor | Sequence[Tensor] | None
    ) -> list[Tensor]:
        if (z is None) == (renderer_latents is None):
            raise ValueError("give either z or renderer_latents")
        if renderer_latents is not None:
            return _listed(renderer_latents)
        assert z is not None
        return [self.map(code) for code in _listed(z)]

    def _decoder(self) -> Decoder:
        if self.decoder is None:
            raise ValueError("this generator has no decoder: it makes thumbnails only")
        return self.decoder


def _listed(values: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [values] if isinstance(values, Tensor) else list(values)


def _given(means: MeanLatents | None) -> MeanLatents:
    if means is None:
        raise ValueError("truncation by psi needs mean latents: give `means`, or psi = 1")
    return means
