"""Open surfaces made closed: holes filled in place, or a new closed surface around what the old one encloses.

Legend: V vertices, F faces, L edges of a loop.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework.geometry.grid import evaluate_grid
from framework.geometry.isosurface import EmptySurface, marching_cubes
from framework.geometry.mesh import Mesh, MeshError
from framework.geometry.occupancy import unsigned_distance, winding_number

LARGEST_EXACT = 120
"""Edges of the largest hole that gets the triangles of least area; larger ones get a fan around their centre."""


def boundary_loops(mesh: Mesh) -> list[Int[np.ndarray, " L"]]:
    """The vertices around each hole in the direction that its filling needs; vertices of one position count as one.

    Where several holes touch at a vertex they come as one loop, or as several that share it.
    """
    faces = mesh.welded_faces()
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    edges = edges[edges[:, 0] != edges[:, 1]]
    size = len(mesh.vertices)
    forward, backward = edges[:, 0] * size + edges[:, 1], edges[:, 1] * size + edges[:, 0]
    following: dict[int, list[int]] = {}
    for start, end in edges[~np.isin(backward, forward)].tolist():
        following.setdefault(end, []).append(start)  # the filling runs along the edge the other way
    loops = []
    while following:
        loop = _walk(following)
        if len(loop) > 2:
            loops.append(np.array(loop))
    return loops


def _walk(following: dict[int, list[int]]) -> list[int]:
    """Take one way along the edges until it closes or ends; an open way, of faces turned differently, gives nothing."""
    start = here = next(iter(following))
    way = []
    while here in following:
        way.append(here)
        options = following[here]
        here = options.pop()
        if not options:
            del following[way[-1]]
        if here == start:
            return way
    return []


def fill_holes(mesh: Mesh, longest: int | None = None) -> Mesh:
    """`mesh` with its holes of at most `longest` edges (none: all) filled with triangles; vertices stay as they are.

    Small holes get the triangles of least total area (Barequet and Sharir 1995), larger ones a fan around a new vertex
    in their middle. The result is closed if faces agree on their direction and no edge has three of them. Materials
    are dropped where something was filled: a filling has no place in their pictures.
    """
    loops = [loop for loop in boundary_loops(mesh) if longest is None or len(loop) <= longest]
    if not loops:
        return mesh
    vertices, colors, faces = [mesh.vertices], [mesh.vertex_colors], [mesh.welded_faces()]
    count = len(mesh.vertices)
    for loop in loops:
        if len(loop) <= LARGEST_EXACT:
            faces.append(loop[_least_area(mesh.vertices[loop].astype(np.float64))])
            continue
        centre = np.full(len(loop), count)
        faces.append(np.stack([loop, np.roll(loop, -1), centre], axis=1))
        vertices.append(mesh.vertices[loop].mean(axis=0, keepdims=True))
        if mesh.vertex_colors is not None:
            colors.append(mesh.vertex_colors[loop].mean(axis=0, keepdims=True))
        count += 1
    filled = np.concatenate(faces)
    solid = (filled != np.roll(filled, 1, axis=1)).all(axis=1)
    whole = Mesh(
        np.concatenate(vertices),
        filled[solid],
        vertex_colors=None if mesh.vertex_colors is None else np.concatenate([c for c in colors if c is not None]),
    )
    return replace(whole, vertex_normals=None)


def _least_area(corners: Float[np.ndarray, "L 3"]) -> Int[np.ndarray, "T 3"]:
    """Triangles over a closed polygon in space with the least total area, as rows of its corners."""
    count = len(corners)
    cost = np.zeros((count, count))
    best = np.zeros((count, count), dtype=np.int64)
    for span in range(2, count):
        for first in range(count - span):
            last = first + span
            middle = np.arange(first + 1, last)
            sides = np.cross(corners[middle] - corners[first], corners[last] - corners[first])
            total = cost[first, middle] + cost[middle, last] + 0.5 * np.linalg.norm(sides, axis=1)
            cost[first, last], best[first, last] = total.min(), middle[total.argmin()]
    triangles = []
    waiting = [(0, count - 1)]
    while waiting:
        start, end = waiting.pop()
        if end - start < 2:
            continue
        between = int(best[start, end])
        triangles.append((start, between, end))
        waiting += [(start, between), (between, end)]
    return np.array(triangles)


def closed_surface(mesh: Mesh, resolution: int = 128, margin: float = 0.05) -> Mesh:
    """A closed surface around what `mesh` winds around: smooth across holes, as a Poisson reconstruction closes them.

    Near the old surface it follows that; across a hole it runs where the winding number falls to one half (Jacobson et
    al. 2013), on a grid of `resolution` intervals over the box and `margin` of its longest side. Faces must look
    outwards. Colours come from the nearest old vertex. MeshError when the mesh encloses nothing at this resolution.
    """
    low, high = mesh.bounds.astype(np.float64)
    longest = float((high - low).max())
    if longest <= 0.0:
        raise MeshError("closed_surface: all vertices lie at one point, the mesh has no size")
    centre, half = (low + high) / 2, (0.5 + margin) * longest
    bounds = np.stack([centre - half, centre + half])

    def field(points: Tensor) -> Tensor:
        asked = points.double().numpy()
        outside = 0.5 - winding_number(mesh, asked)
        # The winding number jumps at the surface, where the distance is smooth; across holes it is the other way round.
        reach = np.minimum(unsigned_distance(mesh, asked), longest * np.abs(outside))
        return torch.from_numpy(np.copysign(reach, outside))

    samples = evaluate_grid(field, resolution, bounds)
    try:
        closed = marching_cubes(samples.values, bounds, inside="negative")
    except EmptySurface as error:
        raise MeshError(
            "closed_surface: the faces enclose nothing. They may look inwards: try mesh.flipped()"
        ) from error
    if mesh.vertex_colors is None:
        return closed
    from scipy.spatial import cKDTree

    return replace(closed, vertex_colors=mesh.vertex_colors[cKDTree(mesh.vertices).query(closed.vertices)[1]])
