# mypy: ignore-errors
# ruff: noqa: SIM108, UP018  (to Warp a bare literal is a constant; it compiles statements, not style)
"""Smooth silhouettes as Warp kernels: the sums of `antialiasing`, which explains them, and their adjoint.

Written in Warp's subset of Python and compiled by `framework.renderers.warp.kernels`; nothing here needs Warp before
that. Indices are trusted: whoever launches a kernel has checked them.

Dimension letters: B pictures, V vertices, F faces, H rows, W columns, C channels.
"""

from __future__ import annotations

from typing import Any

wp: Any = None
"""The package, once it is loaded."""


def find_fronts(
    scene: Scene,
    fronts: wp.array2d(dtype=wp.int8),
):
    """1 for faces that turn their front to the camera, 0 for their back, -1 for those that can't be drawn."""
    picture, face = wp.tid()
    start = picture * scene.vertices
    a = scene.clip[start + int(scene.faces[face, 0])]
    b = scene.clip[start + int(scene.faces[face, 1])]
    c = scene.clip[start + int(scene.faces[face, 2])]
    p = wp.vec3(a[0], a[1], a[3])
    q = wp.vec3(b[0] - a[0], b[1] - a[1], b[3] - a[3])
    r = wp.vec3(c[0] - a[0], c[1] - a[1], c[3] - a[3])
    area = wp.dot(p, wp.cross(q, r))
    front = wp.int8(0)
    if not wp.isfinite(area):
        front = wp.int8(-1)
    elif wp.cast(area, wp.int32) >= 0:  # the sign bit
        front = wp.int8(1)
    fronts[picture, face] = front


def find_outlines(
    fronts: wp.array2d(dtype=wp.int8),
    across: wp.array2d(dtype=wp.int64),
    turned: wp.array2d(dtype=wp.bool),
    outlines: wp.array2d(dtype=wp.int8),
):
    """A bit for each edge of each face that is a silhouette."""
    picture, face = wp.tid()
    bits = int(0)
    for edge in range(3):
        other = int(across[edge, face])
        silhouette = True
        if other >= 0:
            there = fronts[picture, other]
            same = there == fronts[picture, face]
            silhouette = there < wp.int8(0) or same != turned[edge, face]
        if silhouette:
            bits = bits | (1 << edge)
    outlines[picture, face] = wp.int8(bits)


def place(p: wp.vec4, base: int, height: int, width: int, vertical: bool, backwards: bool) -> wp.vec2:
    """Where a position stands seen from a pixel's centre, in pixels: towards the other pixel, and across."""
    right = (p[0] - centre_x(base, width) * p[3]) / p[3] * (float(width) / 2.0)
    down = (centre_y(base, height, width) * p[3] - p[1]) / p[3] * (float(height) / 2.0)
    along = right
    across = down
    if vertical:
        along = down
        across = right
    if backwards:
        along = -along
    return wp.vec2(along, across)


def crossing(start: wp.vec2, end: wp.vec2) -> float:
    """Where an edge crosses the line between two pixels' centres: 0 at the base pixel, 1 at the other."""
    step = end[1] - start[1]
    return (start[0] * step - start[1] * (end[0] - start[0])) / step


def is_negative(value: float) -> bool:
    """Whether the sign bit is set: -0.0 counts."""
    return wp.cast(value, wp.int32) < 0


def find_edge(scene: Scene, face: int, outline: int, base: int, vertical: bool, backwards: bool) -> wp.vec2:
    """The silhouette of a face towards another pixel: where it crosses the line there, and its number or -1."""
    farthest = float(-wp.inf)
    found = int(-1)
    steep = bool(False)
    rows = base // (scene.height * scene.width) * scene.vertices
    for edge in range(3):
        p = scene.clip[rows + int(scene.faces[face, (edge + 1) % 3])]
        q = scene.clip[rows + int(scene.faces[face, (edge + 2) % 3])]
        if p[3] > 0.0 and q[3] > 0.0:
            start = place(p, base, scene.height, scene.width, vertical, backwards)
            end = place(q, base, scene.height, scene.width, vertical, backwards)
            if is_negative(start[1]) != is_negative(end[1]):
                at = crossing(start, end)
                if at > farthest:
                    farthest = at
                    found = edge
                    steep = wp.abs(end[1] - start[1]) >= wp.abs(end[0] - start[0])
    if found >= 0 and (not steep or farthest <= -0.0625 or farthest >= 1.0625 or ((outline >> found) & 1) == 0):
        found = -1
    return wp.vec2(farthest, float(found))


def smooth(
    face_index: wp.array(dtype=wp.int64),
    depth: wp.array(dtype=float),
    scene: Scene,
    outlines: wp.array2d(dtype=wp.int8),
    image: wp.array2d(dtype=float),
    marks: wp.array(dtype=wp.int8),
    result: wp.array2d(dtype=float),
):
    """One thread for each pixel: blend across silhouettes to its right and below it, and mark them for the adjoint.

    A mark has three bits for each direction: the edge's number + 1, and 4 where the nearer face is the other pixel's.
    """
    pixel = wp.tid()
    here = face_index[pixel]
    marked = int(0)
    for direction in range(2):
        vertical = direction == 1
        second = pixel + 1
        inside = (pixel + 1) % scene.width != 0
        if vertical:
            second = pixel + scene.width
            inside = second % (scene.height * scene.width) >= scene.width
        there = here
        if inside:
            there = face_index[second]
        if here != there:
            backwards = there >= wp.int64(0) and (here < wp.int64(0) or depth[pixel] >= depth[second])
            base = pixel
            other = second
            face = int(here)
            if backwards:
                base = second
                other = pixel
                face = int(there)
            outline = int(outlines[base // (scene.height * scene.width), face])
            found = wp.vec2(0.0, -1.0)
            if outline != 0:
                found = find_edge(scene, face, outline, base, vertical, backwards)
            if found[1] >= 0.0:
                share = 0.5 - wp.clamp(found[0], 0.0, 1.0)
                changed = base
                if share < 0.0:
                    changed = other
                mark = int(found[1]) + 1
                if backwards:
                    mark = mark + 4
                marked = marked | (mark << (3 * direction))
                for channel in range(image.shape[1]):
                    wp.atomic_add(result, changed, channel, share * (image[other, channel] - image[base, channel]))
    marks[pixel] = wp.int8(marked)


def smooth_adjoint(
    face_index: wp.array(dtype=wp.int64),
    scene: Scene,
    shortest: float,
    image: wp.array2d(dtype=float),
    marks: wp.array(dtype=wp.int8),
    of_result: wp.array2d(dtype=float),
    of_image: wp.array2d(dtype=float),
    gradient: wp.array(dtype=wp.vec4),
):
    """Gradients of the image, where `of_image` starts as `of_result`, and of the clip positions."""
    pixel = wp.tid()
    marked = int(marks[pixel])
    if marked == 0:
        return
    for direction in range(2):
        mark = (marked >> (3 * direction)) & 7
        if mark != 0:
            vertical = direction == 1
            backwards = mark > 4
            edge = (mark - 1) % 4
            base = pixel
            other = pixel + 1
            if vertical:
                other = pixel + scene.width
            if backwards:
                base = other
                other = pixel
            face = int(face_index[base])
            rows = base // (scene.height * scene.width) * scene.vertices
            i = rows + int(scene.faces[face, (edge + 1) % 3])
            j = rows + int(scene.faces[face, (edge + 2) % 3])
            start = place(scene.clip[i], base, scene.height, scene.width, vertical, backwards)
            end = place(scene.clip[j], base, scene.height, scene.width, vertical, backwards)
            at = crossing(start, end)
            share = 0.5 - wp.clamp(at, 0.0, 1.0)
            changed = base
            if share < 0.0:
                changed = other
            of_share = float(0.0)
            for channel in range(image.shape[1]):
                given = of_result[changed, channel]
                of_share += given * (image[other, channel] - image[base, channel])
                wp.atomic_add(of_image, other, channel, share * given)
                wp.atomic_add(of_image, base, channel, -share * given)
            if at >= 0.0 and at <= 1.0:
                ends = pull_edge(start, end, -of_share, shortest)
                move(gradient, i, scene.clip[i], wp.vec2(ends[0], ends[1]), scene, vertical, backwards)
                move(gradient, j, scene.clip[j], wp.vec2(ends[2], ends[3]), scene, vertical, backwards)


def pull_edge(start: wp.vec2, end: wp.vec2, of_crossing: float, shortest: float) -> wp.vec4:
    """Gradient of an edge's two places, given that of where it crosses; that of an edge a little longer."""
    step = end[1] - start[1]
    area = start[0] * step - start[1] * (end[0] - start[0])
    longer = step + shortest
    if step < 0.0:
        longer = step - shortest
    soft = area / longer
    return of_crossing / longer * wp.vec4(end[1], soft - end[0], -start[1], start[0] - soft)


def move(
    gradient: wp.array(dtype=wp.vec4),
    row: int,
    p: wp.vec4,
    of_place: wp.vec2,
    scene: Scene,
    vertical: bool,
    backwards: bool,
):
    """Add the gradient of a position, given that of its `place`."""
    along = of_place[0]
    if backwards:
        along = -along
    of_right = along
    of_down = of_place[1]
    if vertical:
        of_right = of_place[1]
        of_down = along
    of_right = of_right * (float(scene.width) / 2.0) / p[3]
    of_down = -of_down * (float(scene.height) / 2.0) / p[3]
    wp.atomic_add(gradient, row, wp.vec4(of_right, of_down, 0.0, -(of_right * p[0] + of_down * p[1]) / p[3]))
