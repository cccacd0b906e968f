"""The volume renderer's contract, and the renderer with the same number of samples on every ray.

A method says in functions how it places samples and what a stretch of ray stops; all else happens here: questions in
chunks, memory in training, a second look where the first found something, compositing, normals, what else is wanted.

Dimension letters: ... batch axes, R rays, S samples of a ray, N samples of the second look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from framework.renderers.volume import compositing
from framework.renderers.volume.compositing import RenderOut
from framework.renderers.volume.fields import Field, FieldSamples, ask, ask_with_gradient, outward
from framework.renderers.volume.rays import Rays
from framework.renderers.volume.sampling import halfway


class VolumeRenderer(Protocol):
    """Anything that draws a field."""

    def render(self, field: Field, rays: Rays) -> RenderOut:
        """What `rays` (..., R, 3) see of `field`."""
        ...


class Placement(NamedTuple):
    """Where a method looks along its rays; drawn for all rays at once."""

    depths: Tensor
    """(..., R, S) t of the samples, ascending."""

    hit: Tensor
    """(..., R) bool: the ray sees anything."""

    end: Tensor | None = None
    """(..., R) t where the last stretch ends, if `cut` wants to know."""

    shares: Tensor | None = None
    """(..., R, N) numbers in [0, 1) for a second look."""

    noise: Tensor | None = None
    """(..., R, S) numbers for each sample of the first look, if `cut` wants any."""

    def part(self, rows: slice) -> Placement:
        """Those of some rays."""
        end = None if self.end is None else self.end[..., rows]
        shares, noise = (None if given is None else given[..., rows, :] for given in (self.shares, self.noise))
        return Placement(self.depths[..., rows, :], self.hit[..., rows], end, shares, noise)


class Stretches(NamedTuple):
    """Rays cut into stretches (..., R, K), each with one opacity and one value of everything."""

    opacity: Tensor
    """(..., R, K) share of light that the stretch stops."""

    samples: FieldSamples
    """Values (..., R, K, ...)."""

    depths: Tensor
    """(..., R, K) t that stands for the stretch."""


Place = Callable[[Rays], Placement]
Cut = Callable[[FieldSamples, Rays, Placement], Stretches]
"""(answers at the samples, rays, the placement with the depths (..., R, S) of all looks) -> stretches. It is called for
some of the rays at a time, so whatever belongs to a ray has to come from its arguments."""
Refine = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(depths (..., R, S), weights (..., R, K), shares (..., R, N)) -> further depths (..., R, N)."""
EXTRAS = ("features", "semantics", "points", "sdf", "density", "gradient")


@dataclass(frozen=True, kw_only=True)
class SampledRenderer:
    """Renders rays with equally many samples each; a `VolumeRenderer` for batches of fields too."""

    place: Place
    """Where the first look goes."""

    cut: Cut
    """What the answers mean: which stretches they stand for, and how much light each stops."""

    refine: Refine | None = None
    """Where the second look goes; its samples join the first ones. Needs the placement's shares."""

    background: tuple[float, ...] | None = None
    """Colour behind everything; none: black."""

    epsilon: float = 0.0
    """See `compositing.weights_of`."""

    closed: bool = False
    """The last stretch takes all light that is left."""

    faintest: float = 0.0
    """Stretches with no more weight than this add no colour (they do to everything else)."""

    extras: Sequence[str] = ()
    """What else to return, out of `EXTRAS`. features, semantics and points (..., R, C) are composited; sdf and density
    (..., R, S) are the field's answers as they are; gradient (..., R, S, 3) is that of sdf (else density)."""

    normals: bool = False
    """Return normals; like the gradient this asks the field for derivatives."""

    chunk: int = 4096
    """Rays (of every batch entry) held in memory at once. The result does not depend on it."""

    def __post_init__(self) -> None:
        unknown = set(self.extras) - set(EXTRAS)
        if unknown:
            raise ValueError(f"extras: {', '.join(sorted(unknown))} unknown. Choose from {', '.join(EXTRAS)}")
        if self.chunk < 1:
            raise ValueError(f"chunk is {self.chunk}, expected at least 1 ray")

    def render(self, field: Field, rays: Rays) -> RenderOut:
        """What `rays` (..., R, 3) see. Rays that hit nothing see the background at depth 0.

        With gradients on and more than one chunk, each chunk is computed again in the backward pass instead of being
        kept, so that memory is that of one chunk; fields must then give the same answers twice.
        """
        placement, rays = self.place(rays), rays.repaired()
        _check(placement, rays, self.refine is not None)

        def part(rows: slice) -> RenderOut:
            return self._part(field, rays.part(rows), placement.part(rows))

        return in_chunks(part, rays.count, self.chunk, axis=rays.origins.ndim - 2)

    def _part(self, field: Field, rays: Rays, placement: Placement) -> RenderOut:
        answers, gradient, placement = self._answers(field, rays, placement)
        stretches = self.cut(answers, rays, placement)
        weights = self._weights(stretches, placement.hit)
        shown = weights if self.faintest == 0.0 else torch.where(weights > self.faintest, weights, 0.0)
        opacity = weights.sum(dim=-1)
        colour = stretches.samples.colour
        colour = compositing.total(shown, colour) if colour is not None else shown.new_zeros(*shown.shape[:-1], 3)
        if self.background is not None:
            colour = compositing.over(colour, opacity, colour.new_tensor(self.background))
        normal = None
        if self.normals and gradient is not None:
            normal = compositing.total(weights, _fitted(outward(answers, gradient), weights))
        return RenderOut(
            colour=colour,
            depth=(weights * stretches.depths).sum(dim=-1),
            opacity=opacity,
            normal=normal,
            weights=weights,
            extras=self._extras(answers, gradient, stretches, weights, rays),
        )

    def _answers(self, field: Field, rays: Rays, placement: Placement) -> tuple[FieldSamples, Tensor | None, Placement]:
        """The field's answers, their gradient if wanted, and the placement of one or two looks, in order of depth."""
        answers, gradient = self._ask(field, rays, placement.depths)
        if self.refine is None or placement.shares is None:
            return answers, gradient, placement
        with torch.no_grad():
            weights = self._weights(self.cut(answers, rays, placement), placement.hit)
            further = self.refine(placement.depths, weights, placement.shares)
            depths, order = torch.cat([placement.depths, further], dim=-1).sort(dim=-1, stable=True)
        more, more_gradient = self._ask(field, rays, further)
        both = {name: _merged(value, more.named()[name], order) for name, value in answers.named().items()}
        if gradient is not None and more_gradient is not None:
            gradient = _merged(gradient, more_gradient, order)
        return replace(answers, **both), gradient, placement._replace(depths=depths)

    def _ask(self, field: Field, rays: Rays, depths: Tensor) -> tuple[FieldSamples, Tensor | None]:
        points = rays.at(depths)
        directions = rays.view_directions[..., None, :].expand_as(points)
        if self.normals or "gradient" in self.extras:
            return ask_with_gradient(field, points, directions)
        return ask(field, points, directions), None

    def _weights(self, stretches: Stretches, hit: Tensor) -> Tensor:
        weights = compositing.weights_of(stretches.opacity, self.epsilon)
        if self.closed:
            weights = compositing.closed(weights)
        return torch.where(hit[..., None], weights, 0.0)

    def _extras(
        self, answers: FieldSamples, gradient: Tensor | None, stretches: Stretches, weights: Tensor, rays: Rays
    ) -> dict[str, Tensor]:
        composited = stretches.samples.named()
        if "points" in self.extras:
            composited["points"] = rays.at(stretches.depths)
        averaged = {
            name: compositing.total(weights, composited[name])
            for name in ("features", "semantics", "points")
            if name in self.extras and name in composited
        }
        plain = answers.named() | ({} if gradient is None else {"gradient": gradient})
        return averaged | {
            name: plain[name] for name in ("sdf", "density", "gradient") if name in self.extras and name in plain
        }


def _check(placement: Placement, rays: Rays, refines: bool) -> None:
    axes = rays.origins.shape[:-1]
    wrong = [
        name for name, value in placement._asdict().items() if value is not None and value.shape[: len(axes)] != axes
    ]
    if wrong or placement.depths.ndim != len(axes) + 1:
        shapes = {name: tuple(value.shape) for name, value in placement._asdict().items() if value is not None}
        raise ValueError(f"placement of shapes {shapes}, expected the axes {tuple(axes)} of the rays in front")
    if refines and placement.shares is None:
        raise ValueError("refine needs numbers to sample with: the placement has no shares")


def halves(samples: FieldSamples, depths: Tensor) -> tuple[FieldSamples, Tensor]:
    """Answers (..., S - 1, ...) and depths (..., S - 1) half-way between samples, as means of neighbours."""
    axis, count = depths.ndim - 1, depths.shape[-1] - 1
    middle = {
        name: 0.5 * (value.narrow(axis, 1, count) + value.narrow(axis, 0, count))
        for name, value in samples.named().items()
    }
    return replace(samples, **middle), halfway(depths)


def in_chunks(part: Callable[[slice], RenderOut], count: int, chunk: int, axis: int) -> RenderOut:
    """The result of `part` for `count` rays, which lie along `axis`, asked for `chunk` of them at a time.

    With gradients on and more than one chunk, none keeps what its gradients need: it is computed again for them.
    """
    slices = [slice(first, first + chunk) for first in range(0, max(1, count), chunk)]
    if len(slices) == 1:
        return part(slices[0])
    if torch.is_grad_enabled():
        return _joined([checkpoint(part, rows, use_reentrant=False) for rows in slices], axis)
    return _joined([part(rows) for rows in slices], axis)


def _joined(parts: Sequence[RenderOut], axis: int) -> RenderOut:
    def whole(values: Sequence[Tensor | None]) -> Tensor | None:
        given = [value for value in values if value is not None]
        return torch.cat(given, dim=axis) if given else None

    return RenderOut(
        colour=torch.cat([part.colour for part in parts], dim=axis),
        depth=torch.cat([part.depth for part in parts], dim=axis),
        opacity=torch.cat([part.opacity for part in parts], dim=axis),
        normal=whole([part.normal for part in parts]),
        weights=whole([part.weights for part in parts]),
        extras={name: torch.cat([part.extras[name] for part in parts], dim=axis) for name in parts[0].extras},
    )


def _merged(first: Tensor, second: Tensor, order: Tensor) -> Tensor:
    """Both (..., S, ...) and (..., N, ...) along the samples' axis, in `order` (..., S + N)."""
    axis = order.ndim - 1
    both = torch.cat([first, second], dim=axis)
    index = order if both.ndim == order.ndim else order[..., None].expand_as(both)
    return both.gather(axis, index)


def _fitted(normals: Tensor, weights: Tensor) -> Tensor:
    """Normals of samples as those of stretches: between two samples their mean."""
    return normals if normals.shape[-2] == weights.shape[-1] else 0.5 * (normals[..., 1:, :] + normals[..., :-1, :])
