# mypy: ignore-errors
# ruff: noqa: SIM108, UP018  (to Warp a bare literal is a constant; it compiles statements, not style)
"""Which triangle wins each pixel, as Warp kernels: the sums of `clipping` and `coverage`, which explain them.

The order of additions is the same too, and multiply-adds are not fused, so both rasterizers draw the same pictures.

Written in Warp's subset of Python and compiled by `framework.renderers.warp.kernels`; nothing here needs Warp before
that. Indices are trusted: whoever launches a kernel has checked them.

Dimension letters: B pictures, V vertices, F faces, L large triangles.
"""

from __future__ import annotations

from typing import Any

wp: Any = None
"""The package, once it is loaded."""

LARGE = 64
"""Triangles that reach over more rows than this are drawn row by row, by many threads."""

NARROW = 8.0
"""Rows of triangles of fewer columns are tested whole: finding the span costs as much as testing a few pixels."""


class Scene:
    """What is seen: the meshes of all pictures, and the pictures' size."""

    clip: wp.array(dtype=wp.vec4)
    """(B * V,) homogeneous positions."""

    faces: wp.array2d(dtype=wp.int64)
    """(F, 3)."""

    vertices: int
    height: int
    width: int


class Target:
    """What is drawn into."""

    keys: wp.array(dtype=wp.int64)
    """(B * H * W,) bits of the depth above the face's number; the smallest wins."""

    behind: wp.array(dtype=float)
    """(B * H * W,) smallest depth that counts, or empty."""

    large: wp.array(dtype=wp.mat33)
    """(L,) corners of large triangles, one in each row."""

    large_face: wp.array2d(dtype=int)
    """(L, 2) their picture and face."""

    count: wp.array(dtype=int)
    """(1,) how many there are; more than L are drawn at once."""

    height: int
    width: int
    cull: bool
    """Leave out triangles that turn their back."""


def project(p: wp.vec4, height: int, width: int) -> wp.vec3:
    """Column and row in pixels and depth in [0, 1] of a clip position."""
    column = (p[0] / p[3] * 0.5 + 0.5) * float(width)
    row = (0.5 - p[1] / p[3] * 0.5) * float(height)
    return wp.vec3(column, row, p[2] / p[3] * 0.5 + 0.5)


def meet(p: wp.vec4, q: wp.vec4) -> wp.vec4:
    """Where the edge from p, in front of the near plane, to q, behind it, meets the plane."""
    ahead = p[2] + p[3]
    behind = q[2] + q[3]
    return p + (ahead / (ahead - behind)) * (q - p)


def is_finite(p: wp.vec4) -> bool:
    """Whether a homogeneous position holds four numbers."""
    return wp.isfinite(p[0]) and wp.isfinite(p[1]) and wp.isfinite(p[2]) and wp.isfinite(p[3])


def is_on_screen(p: wp.vec3) -> bool:
    """Whether a projected position is anywhere: a vertex with w = 0 is not."""
    return wp.isfinite(p[0]) and wp.isfinite(p[1]) and wp.isfinite(p[2])


def first_centre(low: float, size: int) -> int:
    """The first of `size` pixels whose centre is not before `low`, in pixels; `size` if there is none."""
    return int(wp.clamp(wp.ceil(low - 0.5), 0.0, float(size)))


def last_centre(high: float, size: int) -> int:
    """The last of `size` pixels whose centre is not after `high`, in pixels; -1 if there is none."""
    return int(wp.clamp(wp.floor(high - 0.5), -1.0, float(size - 1)))


def widen(x0: float, y0: float, x1: float, y1: float, span: wp.vec2) -> wp.vec2:
    """The span of columns of a row at y = 0, widened to where an edge crosses it."""
    if (y0 <= 0.0) != (y1 <= 0.0):
        at = x0 - y0 / (y1 - y0) * (x1 - x0)
        return wp.vec2(wp.min(span[0], at), wp.max(span[1], at))
    return span


def draw_rows(
    a: wp.vec3, b: wp.vec3, c: wp.vec3, box: wp.vec4i, picture: int, face: wp.int64, target: Target
):  # fmt: skip
    """Lower the keys where a triangle covers pixel centres in a box: first and last row, first and last column."""
    narrow = wp.max(wp.max(a[0], b[0]), c[0]) - wp.min(wp.min(a[0], b[0]), c[0]) < NARROW
    for row in range(box[0], box[1] + 1):
        centre = float(row) + 0.5
        ay = a[1] - centre
        by = b[1] - centre
        cy = c[1] - centre
        if wp.min(wp.min(ay, by), cy) <= 0.0 and wp.max(wp.max(ay, by), cy) > 0.0:
            start = box[2]
            end = box[3]
            if not narrow:
                span = wp.vec2(wp.inf, -wp.inf)
                span = widen(a[0], ay, b[0], by, span)
                span = widen(b[0], by, c[0], cy, span)
                span = widen(c[0], cy, a[0], ay, span)
                end = -1
                if wp.isfinite(span[0]) and wp.isfinite(span[1]):
                    start = int(wp.clamp(wp.ceil(span[0] - 0.51), 0.0, float(target.width)))
                    end = int(wp.clamp(wp.floor(span[1] - 0.49), -1.0, float(target.width - 1)))
            first_pixel = (picture * target.height + row) * target.width
            for column in range(start, end + 1):
                x = float(column) + 0.5
                ax = a[0] - x
                bx = b[0] - x
                cx = c[0] - x
                of_a = bx * cy - cx * by
                of_b = cx * ay - ax * cy
                of_c = ax * by - bx * ay
                front = of_a >= 0.0 and of_b >= 0.0 and of_c >= 0.0
                if front or (of_a <= 0.0 and of_b <= 0.0 and of_c <= 0.0):
                    depth = (of_a * a[2] + of_b * b[2] + of_c * c[2]) / (of_a + of_b + of_c)
                    pixel = first_pixel + column
                    if depth >= 0.0 and depth <= 1.0 and (target.behind.shape[0] == 0 or depth >= target.behind[pixel]):
                        key = (wp.int64(wp.cast(depth, wp.int32)) << wp.int64(32)) | face
                        wp.atomic_min(target.keys, pixel, key)


def draw_triangle(a: wp.vec3, b: wp.vec3, c: wp.vec3, picture: int, face: wp.int64, target: Target):
    """Draw a projected triangle, or put it on the list of large ones."""
    if not (is_on_screen(a) and is_on_screen(b) and is_on_screen(c)):
        return
    first_row = first_centre(wp.min(wp.min(a[1], b[1]), c[1]), target.height)
    last_row = last_centre(wp.max(wp.max(a[1], b[1]), c[1]), target.height)
    first_column = first_centre(wp.min(wp.min(a[0], b[0]), c[0]), target.width)
    last_column = last_centre(wp.max(wp.max(a[0], b[0]), c[0]), target.width)
    if first_row > last_row or first_column > last_column:
        return
    if target.cull and (b[0] - a[0]) * (c[1] - a[1]) >= (c[0] - a[0]) * (b[1] - a[1]):
        return
    if last_row - first_row >= LARGE:
        place = wp.atomic_add(target.count, 0, 1)
        if place < target.large.shape[0]:
            target.large[place] = wp.mat33(a[0], a[1], a[2], b[0], b[1], b[2], c[0], c[1], c[2])
            target.large_face[place, 0] = picture
            target.large_face[place, 1] = int(face)
            return
    draw_rows(a, b, c, wp.vec4i(first_row, last_row, first_column, last_column), picture, face, target)


def draw_faces(scene: Scene, target: Target):
    """One thread for each face of each picture: clip at the near plane, project, draw."""
    picture, face = wp.tid()
    start = picture * scene.vertices
    a = scene.clip[start + int(scene.faces[face, 0])]
    b = scene.clip[start + int(scene.faces[face, 1])]
    c = scene.clip[start + int(scene.faces[face, 2])]
    if not (is_finite(a) and is_finite(b) and is_finite(c)):
        return
    a_in = a[2] + a[3] > 0.0
    b_in = b[2] + b[3] > 0.0
    c_in = c[2] + c[3] > 0.0
    inside = int(a_in) + int(b_in) + int(c_in)
    if inside == 0:
        return
    # Turn the triangle until its odd corner, the only one inside or the only one outside, comes first.
    if (inside == 1 and b_in) or (inside == 2 and not b_in):
        swap = a
        a = b
        b = c
        c = swap
    elif (inside == 1 and c_in) or (inside == 2 and not c_in):
        swap = a
        a = c
        c = b
        b = swap
    last = wp.vec4()
    if inside == 2:
        last = meet(c, a)
        a = meet(b, a)
    elif inside == 1:
        b = meet(a, b)
        c = meet(a, c)
    p = project(a, target.height, target.width)
    q = project(b, target.height, target.width)
    r = project(c, target.height, target.width)
    pieces = int(1)
    if inside == 2:
        pieces = 2
    for piece in range(pieces):
        if piece == 1:
            q = r
            r = project(last, target.height, target.width)
        draw_triangle(p, q, r, picture, wp.int64(face), target)


def draw_large(target: Target):
    """One thread for each row of each triangle on the list."""
    place, row = wp.tid()
    corners = target.large[place]
    a = wp.vec3(corners[0, 0], corners[0, 1], corners[0, 2])
    b = wp.vec3(corners[1, 0], corners[1, 1], corners[1, 2])
    c = wp.vec3(corners[2, 0], corners[2, 1], corners[2, 2])
    first_row = first_centre(wp.min(wp.min(a[1], b[1]), c[1]), target.height)
    last_row = last_centre(wp.max(wp.max(a[1], b[1]), c[1]), target.height)
    if row < first_row or row > last_row:
        return
    box = wp.vec4i(row, row, 0, target.width - 1)
    draw_rows(a, b, c, box, target.large_face[place, 0], wp.int64(target.large_face[place, 1]), target)
