# mypy: ignore-errors
# ruff: noqa: SIM108, UP018  (to Warp a bare literal is a constant; it compiles statements, not style)
"""What each pixel sees of the triangle that won it, as Warp kernels: those of `torch_rasterizer`, and their adjoints.

Written in Warp's subset of Python and compiled by `framework.renderers.warp.kernels`; nothing here needs Warp before
that. Indices are trusted: whoever launches a kernel has checked them.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import Any

wp: Any = None
"""The package, once it is loaded."""


def centre_x(pixel: int, width: int) -> float:
    """Where the centre of a pixel lies from left (-1) to right (1); pixels of all pictures are numbered row by row."""
    return (float(pixel % width) + 0.5) * (2.0 / float(width)) - 1.0


def centre_y(pixel: int, height: int, width: int) -> float:
    """Where the centre of a pixel lies from bottom (-1) to top (1)."""
    return 1.0 - (float(pixel // width % height) + 0.5) * (2.0 / float(height))


def seen_from(p: wp.vec4, x: float, y: float) -> wp.vec2:
    """Homogeneous position as seen from a pixel's centre."""
    return wp.vec2(p[0] - x * p[3], p[1] - y * p[3])


def corners(faces: wp.array2d(dtype=wp.int64), face: int, start: int) -> wp.vec3i:
    """Rows of a face's corners in attributes or positions of a picture that begin at row `start`."""
    return wp.vec3i(start + int(faces[face, 0]), start + int(faces[face, 1]), start + int(faces[face, 2]))


def areas(a: wp.vec2, b: wp.vec2, c: wp.vec2) -> wp.vec3:
    """Twice the signed areas of the origin with each edge: first the edge across from a, then b, then c."""
    return wp.vec3(b[0] * c[1] - c[0] * b[1], c[0] * a[1] - a[0] * c[1], a[0] * b[1] - b[0] * a[1])


def locate(
    keys: wp.array(dtype=wp.int64),
    scene: Scene,
    face_index: wp.array(dtype=wp.int64),
    barycentric: wp.array(dtype=wp.vec3),
    depth: wp.array(dtype=float),
):
    """Face, weights and depth of each pixel from the key that won it."""
    pixel = wp.tid()
    key = keys[pixel]
    if key == wp.int64(9223372036854775807):
        face_index[pixel] = wp.int64(-1)
        barycentric[pixel] = wp.vec3(0.0, 0.0, 0.0)
        depth[pixel] = 1.0
        return
    face = key & wp.int64(4294967295)
    face_index[pixel] = face
    start = pixel // (scene.height * scene.width) * scene.vertices
    a = scene.clip[start + int(scene.faces[int(face), 0])]
    b = scene.clip[start + int(scene.faces[int(face), 1])]
    c = scene.clip[start + int(scene.faces[int(face), 2])]
    x = centre_x(pixel, scene.width)
    y = centre_y(pixel, scene.height, scene.width)
    parts = areas(seen_from(a, x, y), seen_from(b, x, y), seen_from(c, x, y))
    total = parts[0] + parts[1] + parts[2]
    weights = wp.vec3(1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0)
    if total != 0.0:
        weights = parts / total
    barycentric[pixel] = weights
    above = weights[0] * a[2] + weights[1] * b[2] + weights[2] * c[2]
    depth[pixel] = above / (weights[0] * a[3] + weights[1] * b[3] + weights[2] * c[3])


def pull(gradient: wp.array(dtype=wp.vec4), row: int, x: float, y: float, of_seen: wp.vec2, of_z: float, of_w: float):
    """Add the gradient of a corner, given that of its position as seen from a pixel's centre (x, y)."""
    wp.atomic_add(gradient, row, wp.vec4(of_seen[0], of_seen[1], of_z, of_w - x * of_seen[0] - y * of_seen[1]))


def locate_adjoint(
    face_index: wp.array(dtype=wp.int64),
    scene: Scene,
    smallest: float,
    barycentric: wp.array(dtype=wp.vec3),
    depth: wp.array(dtype=float),
    of_barycentric: wp.array(dtype=wp.vec3),
    of_depth: wp.array(dtype=float),
    gradient: wp.array(dtype=wp.vec4),
):
    """Gradient of the clip positions, given those of weights and depths."""
    pixel = wp.tid()
    face = int(face_index[pixel])
    if face < 0:
        return
    start = pixel // (scene.height * scene.width) * scene.vertices
    at = corners(scene.faces, face, start)
    a = scene.clip[at[0]]
    b = scene.clip[at[1]]
    c = scene.clip[at[2]]
    x = centre_x(pixel, scene.width)
    y = centre_y(pixel, scene.height, scene.width)
    p = seen_from(a, x, y)
    q = seen_from(b, x, y)
    r = seen_from(c, x, y)
    weights = barycentric[pixel]
    # Depth is (weights . z) / (weights . w).
    ratio = of_depth[pixel] / (weights[0] * a[3] + weights[1] * b[3] + weights[2] * c[3])
    d = depth[pixel]
    given = of_barycentric[pixel] + ratio * wp.vec3(a[2] - d * a[3], b[2] - d * b[3], c[2] - d * c[3])
    # Weights are areas over a total that is a little larger; the third is what the others leave.
    parts = areas(p, q, r)
    total = parts[0] + parts[1] + parts[2]
    if total < 0.0:
        total = total - smallest
    else:
        total = total + smallest
    of_u = given[0] - given[2]
    of_v = given[1] - given[2]
    rest = (of_u * parts[0] + of_v * parts[1]) / total
    g0 = (of_u - rest) / total
    g1 = (of_v - rest) / total
    g2 = -rest / total
    z = ratio * weights
    w = -d * z
    pull(gradient, at[0], x, y, wp.vec2(g2 * q[1] - g1 * r[1], g1 * r[0] - g2 * q[0]), z[0], w[0])
    pull(gradient, at[1], x, y, wp.vec2(g0 * r[1] - g2 * p[1], g2 * p[0] - g0 * r[0]), z[1], w[1])
    pull(gradient, at[2], x, y, wp.vec2(g1 * p[1] - g0 * q[1], g0 * q[0] - g1 * p[0]), z[2], w[2])


def interpolate(
    face_index: wp.array(dtype=wp.int64),
    barycentric: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int64),
    attributes: wp.array2d(dtype=float),
    stride: int,
    pixels: int,
    picture: wp.array2d(dtype=float),
):
    """Attributes of each pixel; `stride` is the number of attribute rows of a picture, 0 where all share them."""
    pixel = wp.tid()
    face = int(face_index[pixel])
    if face < 0:
        return
    start = pixel // pixels * stride
    at = corners(faces, face, start)
    weights = barycentric[pixel]
    for channel in range(attributes.shape[1]):
        picture[pixel, channel] = (
            attributes[at[0], channel] * weights[0]
            + attributes[at[1], channel] * weights[1]
            + attributes[at[2], channel] * weights[2]
        )


def interpolate_adjoint(
    face_index: wp.array(dtype=wp.int64),
    barycentric: wp.array(dtype=wp.vec3),
    faces: wp.array2d(dtype=wp.int64),
    attributes: wp.array2d(dtype=float),
    stride: int,
    pixels: int,
    of_picture: wp.array2d(dtype=float),
    of_attributes: wp.array2d(dtype=float),
    of_barycentric: wp.array(dtype=wp.vec3),
):
    """Gradients of attributes (unless that array is empty) and weights."""
    pixel = wp.tid()
    face = int(face_index[pixel])
    if face < 0:
        return
    start = pixel // pixels * stride
    at = corners(faces, face, start)
    weights = barycentric[pixel]
    of_weights = wp.vec3(0.0, 0.0, 0.0)
    for channel in range(attributes.shape[1]):
        given = of_picture[pixel, channel]
        of_weights += given * wp.vec3(
            attributes[at[0], channel], attributes[at[1], channel], attributes[at[2], channel]
        )
        if of_attributes.shape[0] > 0:
            wp.atomic_add(of_attributes, at[0], channel, given * weights[0])
            wp.atomic_add(of_attributes, at[1], channel, given * weights[1])
            wp.atomic_add(of_attributes, at[2], channel, given * weights[2])
    of_barycentric[pixel] = of_weights
