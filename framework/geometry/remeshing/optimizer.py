"""The optimiser of continuous remeshing: Adam per vertex in units of its edge length, which it adapts.

Dimension letters: V vertices, F faces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from framework.geometry.mesh import MeshError
from framework.geometry.remeshing.collapse import random_picks
from framework.geometry.remeshing.config import RemeshingConfig
from framework.geometry.remeshing.connectivity import (
    check_triangles,
    edges_of,
    neighbour_means,
    packed,
    proper_faces,
    square_lengths,
)
from framework.geometry.remeshing.remesh import remesh

Picks = Callable[[int], Tensor]
"""Draws the `picks` of `remesh` for so many faces."""

_EPSILON = 1e-8
_SMALLEST = 1e-20


@dataclass(eq=False)
class VertexState:
    """What each vertex carries; split and merged vertices get means of all of it."""

    positions: Tensor
    """(V, 3)."""

    second_moment: Tensor
    """(V, 1) running mean of the squared length of the gradient."""

    speed: Tensor
    """(V, 1) length of the mean gradient in units of its root mean square: 1 moves steadily, 0 trembles."""

    momentum: Tensor
    """(V, 3) running mean of the gradient."""

    edge_length: Tensor
    """(V, 1) wanted length of its edges."""

    curvature: Tensor
    """(V, 3) how far it lay from the mean of its neighbours at the start, in units of the mean square of its edges'
    lengths, which is the same for coarse and fine triangles; 0 for a plain Laplacian."""

    @property
    def columns(self) -> Tensor:
        """(V, 12) all of it, in this order."""
        return torch.cat([getattr(self, field.name) for field in fields(self)], 1)

    @staticmethod
    def of(columns: Tensor) -> VertexState:
        """The state of `columns` (V, 12)."""
        return VertexState(*(part.contiguous() for part in columns.split([3, 1, 1, 3, 1, 3], 1)))


class RemeshingOptimizer:
    """Moves the vertices of a mesh by gradients and remeshes it in between.

        optimizer = RemeshingOptimizer(positions, faces, RemeshingConfig())
        loss(optimizer.positions, optimizer.faces).backward()
        optimizer.step()
        optimizer.remesh()

    `positions` and `faces` are new after each step and each remeshing.
    """

    def __init__(self, positions: Tensor, faces: Tensor, config: RemeshingConfig) -> None:
        """Start from `positions` (V, 3) and `faces` (F, 3) int64, of which unused and degenerate parts are dropped.

        MeshError for indices out of range, positions that are not finite, and a mesh without faces.
        """
        check_triangles(positions, faces)
        positions, faces = packed(positions.detach(), proper_faces(faces))
        if not len(faces):
            raise MeshError("faces: the mesh has no triangle with three different corners, nothing can be optimised")
        self.config = config
        self.learning_rate = config.learning_rate
        self.steps = 0
        self.faces = faces
        self._edges = edges_of(faces, len(positions))
        self._state = self._start(positions)
        self._renew()

    @property
    def state(self) -> VertexState:
        """What each vertex carries now."""
        return self._state

    def _start(self, positions: Tensor) -> VertexState:
        vector, number = torch.zeros_like(positions), torch.zeros_like(positions[:, :1])
        curvature = vector
        if self.config.keep_shape:
            bend = positions - neighbour_means(positions, self._edges)
            curvature = bend / square_lengths(positions, self._edges).clamp(min=_SMALLEST)
        return VertexState(
            positions=positions,
            second_moment=number,
            speed=number,
            momentum=vector,
            edge_length=torch.full_like(number, self.config.longest_edge),
            curvature=curvature,
        )

    def _renew(self) -> None:
        """What follows from new faces: how far vertices should lie from their neighbours, and a leaf for gradients."""
        self._bend = self._state.curvature
        if self.config.keep_shape:
            self._bend = self._bend * square_lengths(self._state.positions, self._edges)
        self._renew_positions()

    def _renew_positions(self) -> None:
        """`positions`: a leaf that gradients are gathered in."""
        self.positions = self._state.positions.detach().requires_grad_()

    def step(self, adapt_length: bool = True) -> None:
        """Move the vertices by the gradient that `positions` hold (none: zero).

        adapt_length: let the wanted lengths follow the speed in this step. `learning_rate` may be changed between
        steps. MeshError when the gradient is not finite.
        """
        gradient = self.positions.grad if self.positions.grad is not None else torch.zeros_like(self.positions)
        bad = int((~gradient.isfinite()).any(1).sum())
        if bad:
            raise MeshError(f"step {self.steps + 1}: the gradient of {bad} of {len(gradient)} vertices is not finite")
        self.steps += 1
        self._state = self._moved(self._state, gradient)
        if adapt_length:
            self._state.edge_length = self._adapted_lengths(self._state)
        self._renew_positions()

    def _moved(self, state: VertexState, gradient: Tensor) -> VertexState:
        config = self.config
        if config.smoothing:
            bend = state.positions - neighbour_means(state.positions, self._edges) - self._bend
            gradient = torch.addcmul(gradient, state.speed, config.smoothing * bend)
        if self.steps > 1:
            limit = config.gradient_limit * state.momentum.abs()
            gradient = torch.minimum(torch.maximum(gradient, -limit), limit)
        momentum = self._mean(state.momentum, gradient, config.betas[0])
        second_moment = self._mean(state.second_moment, gradient.square().sum(1, keepdim=True), config.betas[1])
        velocity = momentum / (second_moment.sqrt() + _EPSILON)
        speed = self._mean(state.speed, velocity.norm(dim=1, keepdim=True), config.betas[2])
        rate = self.learning_rate * min(1.0, self.steps * (1 - config.betas[0]) / config.ramp)
        return VertexState(
            positions=torch.sub(state.positions, velocity * state.edge_length, alpha=rate),
            second_moment=second_moment,
            speed=speed,
            momentum=momentum,
            edge_length=state.edge_length,
            curvature=state.curvature,
        )

    def _mean(self, past: Tensor, new: Tensor, beta: float) -> Tensor:
        """Running mean in which all steps so far count fully (bias-corrected)."""
        before, now = 1 - beta ** (self.steps - 1), 1 - beta**self.steps
        return torch.add(past * (beta * before / now), new, alpha=(1 - beta) / now)

    def _adapted_lengths(self, state: VertexState) -> Tensor:
        config = self.config
        speed = state.speed.mean() if config.shared_length else state.speed
        lengths = state.edge_length * (1 + (speed - config.speed) * config.gain)
        return lengths.clamp(config.shortest_edge, config.longest_edge)

    def remesh(self, picks: Picks = random_picks) -> None:
        """Collapse, split and flip edges towards the wanted lengths; `picks` draws which edges bad faces choose.

        MeshError when nothing of the mesh is left.
        """
        wanted, tolerance = self._state.edge_length[:, 0], self.config.tolerance
        columns, self.faces = remesh(
            self._state.columns,
            self.faces,
            wanted * (1 - tolerance),
            wanted * (1 + tolerance),
            picks(len(self.faces)).to(self.faces.device),
            self.config.most_vertices,
            self.config.stable,
        )
        if not len(self.faces):
            raise MeshError(f"step {self.steps}: the mesh has vanished. Its parts are smaller than the shortest edge")
        self._state, self._edges = VertexState.of(columns), edges_of(self.faces, len(columns))
        self._renew()
