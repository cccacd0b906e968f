"""The renderer that looks only where an occupancy grid says that there is matter.

Dimension letters: R rays, P samples of all rays in a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from framework.renderers.volume import compositing
from framework.renderers.volume.compositing import RenderOut
from framework.renderers.volume.densities import density_opacity
from framework.renderers.volume.fields import Field, FieldAnswerError, FieldSamples, ask
from framework.renderers.volume.marching import Marched, Walk, lattice_walk, march
from framework.renderers.volume.occupancy_grid import OccupancyGrid
from framework.renderers.volume.rays import Rays
from framework.renderers.volume.renderer import in_chunks


@dataclass(frozen=True, kw_only=True)
class MarchedRenderer:
    """Renders the density of one field inside [-1, 1]^3 from samples in full cells; a `VolumeRenderer`.

    A sample stands for the stretch of one step behind it.
    """

    grid: OccupancyGrid
    """Where to look."""

    step: float
    """Length of a stretch in t."""

    most: int = 1024
    """Samples of a ray at most."""

    nearest: float = 0.0
    """Where rays begin to see."""

    background: tuple[float, ...] | None = None
    """Colour behind everything; none: black."""

    least_light: float = 1e-4
    """A ray stops behind the sample that leaves less light than this."""

    late: bool = False
    """It stops one sample later still, as programs do that look at the light before a sample."""

    chunk: int = 8192
    """Rays held in memory at once. The result does not depend on it."""

    wave: int = 16
    """Without gradients, samples of a ray that are asked before looking which rays have become dark; then twice as many
    and so on. The result does not depend on it."""

    walk: Walk = lattice_walk
    """Who finds the samples; `marching.fastest_walk()` for the fastest one that is installed."""

    def __post_init__(self) -> None:
        if self.chunk < 1 or self.wave < 1:
            raise ValueError(f"chunk is {self.chunk} and wave is {self.wave}, expected at least 1 each")

    def render(self, field: Field, rays: Rays, offset: Tensor | None = None) -> RenderOut:
        """What `rays` (..., R, 3) see; extras has `far` and `near` (..., R) and `samples` (..., R), how many counted.

        offset (..., R) in [0, 1): see `march`. Gradients flow to the field's densities and colours; which samples count
        is constant. With gradients on and more than one chunk, each chunk is computed again in the backward pass.
        Rays that hit nothing see the background at depth 0; see `Span` for their near and far.
        """
        views = None if rays.views is None else rays.views.reshape(-1, 3)
        flat = Rays(rays.origins.reshape(-1, 3), rays.directions.reshape(-1, 3), views)
        noise = None if offset is None else offset.reshape(-1)

        def part(rows: slice) -> RenderOut:
            return self._part(field, flat.part(rows), None if noise is None else noise[rows])

        return _reshaped(in_chunks(part, flat.count, self.chunk, axis=0), rays.origins.shape[:-1])

    def _part(self, field: Field, rays: Rays, offset: Tensor | None) -> RenderOut:
        marched = march(rays, self.grid, self.step, self.most, self.nearest, offset, self.walk)
        rays = rays.repaired()
        lengths = self.step * rays.directions.norm(dim=-1)
        density, colour, index = self._answers(field, rays, marched, lengths)
        ray, rank = marched.ray[index], marched.rank[index]
        table = compositing.padded(density_opacity(density, lengths[ray]), ray, rank, rays.count)
        light = compositing.transmittance(table)
        counted = compositing.until_dark(light.detach(), self.least_light, self.late)[ray, rank]
        weights = torch.where(counted, (table * light)[ray, rank], 0.0)
        opacity = compositing.summed(weights, ray, rays.count)
        picture = compositing.summed(weights[:, None] * colour, ray, rays.count)
        if self.background is not None:
            picture = compositing.over(picture, opacity, picture.new_tensor(self.background))
        return RenderOut(
            colour=picture,
            depth=compositing.summed(weights * marched.depth[index], ray, rays.count),
            opacity=opacity,
            extras={
                "near": marched.span.near,
                "far": marched.span.far,
                "samples": compositing.summed(counted.long(), ray, rays.count),
            },
        )

    def _answers(self, field: Field, rays: Rays, marched: Marched, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Densities (P,), colours (P, 3) and which samples they belong to (P,), enough to make every ray dark."""
        if torch.is_grad_enabled():
            index = torch.arange(len(marched.ray), device=marched.ray.device)
            return *self._ask(field, rays, marched, index), index
        answers: list[tuple[Tensor, Tensor, Tensor]] = []
        thickness = rays.origins.new_zeros(rays.count)
        pending, first, wave = torch.arange(len(marched.ray), device=marched.ray.device), 0, self.wave
        while len(pending) or not answers:
            now = marched.rank[pending] < first + wave
            index, pending = pending[now], pending[~now]
            density, colour = self._ask(field, rays, marched, index)
            answers.append((density, colour, index))
            first, wave = first + wave, 2 * wave
            ray, stopped = marched.ray[index], density * lengths[marched.ray[index]]
            thickness = seen = thickness + compositing.summed(stopped, ray, rays.count)
            if self.late:  # one more sample counts behind the one that made the ray dark
                last = marched.rank[index] == first - 1
                seen = thickness - compositing.summed(stopped * last, ray, rays.count)
            # Rays are left only when clearly dark: the exact stop is decided on the answers, in one place.
            pending = pending[(torch.exp(-seen) >= 0.5 * self.least_light)[marched.ray[pending]]]
        return tuple(torch.cat(part) for part in zip(*answers, strict=True))  # type: ignore[return-value]

    def _ask(self, field: Field, rays: Rays, marched: Marched, index: Tensor) -> tuple[Tensor, Tensor]:
        ray = marched.ray[index]
        place = rays.origins[ray] + marched.depth[index, None] * rays.directions[ray]
        answer = ask(field, place.clamp(-1.0, 1.0), rays.view_directions[ray])
        return _needed(answer)


def _needed(answer: FieldSamples) -> tuple[Tensor, Tensor]:
    if answer.density is None or answer.colour is None:
        raise FieldAnswerError("marching needs the field's density and colour")
    return answer.density, answer.colour


def _reshaped(out: RenderOut, shape: torch.Size) -> RenderOut:
    """The rays' axes as they were."""
    return RenderOut(
        colour=out.colour.reshape(*shape, 3),
        depth=out.depth.reshape(shape),
        opacity=out.opacity.reshape(shape),
        extras={name: value.reshape(shape) for name, value in out.extras.items()},
    )
