"""Every family: in its frame, signed distances that bound, closed meshes of the right volume, thin and hollow parts."""

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from framework.data.procedural.catalogue import FAMILIES, generate, object_list
from framework.data.procedural.parts import LONGEST_SIDE, Part, Pattern, ProceduralObject
from framework.data.procedural.primitives import box
from framework.data.procedural.sampling import build_mesh, project
from framework.geometry.mesh import Mesh

THIN = ("chair", "vase", "airplane", "rocket", "house")
HOLLOW = ("vase", "mug", "lamp")
EXACT = ("table", "sofa")


@cache
def _object(family: str, seed: int = 3) -> ProceduralObject:
    return generate(family, seed)


@cache
def _mesh(family: str, seed: int = 3) -> Mesh:
    return build_mesh(_object(family, seed), 64)


def _points(count: int, seed: int = 0, extent: float = 1.1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-extent, extent, (count, 3)).astype(np.float32)


def _descend(item: ProceduralObject, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Surface points and unit normals there, by Newton steps from mesh vertices."""
    vertices = _mesh(item.family, item.seed).vertices
    chosen = np.random.default_rng(5).choice(len(vertices), count)
    return project(item, vertices[chosen], 2)


@pytest.mark.parametrize("family", FAMILIES)
def test_fills_its_frame(family: str) -> None:
    for seed in (3, 4, 5):
        mesh = _mesh(family, seed) if seed == 3 else build_mesh(generate(family, seed), 96)
        size = mesh.bounds[1] - mesh.bounds[0]
        # A mesh loses the tips of noses and wings; nothing sticks out.
        assert size.max() == pytest.approx(LONGEST_SIDE, abs=0.04)
        assert np.abs(mesh.bounds).max() < 0.5 * LONGEST_SIDE + 0.006


@pytest.mark.parametrize("family", FAMILIES)
def test_mesh_is_closed_and_has_the_volume_of_the_samples(family: str) -> None:
    item = _object(family)
    mesh = build_mesh(item)
    assert mesh.is_watertight
    low, high = mesh.bounds[0] - 0.01, mesh.bounds[1] + 0.01
    points = np.random.default_rng(0).uniform(low, high, (150_000, 3))
    share = item.occupancy(points).mean()
    volume = share * np.prod(high - low)
    noise = 2.5 * np.sqrt((1 - share) / share / len(points))
    assert mesh.volume == pytest.approx(volume, rel=0.03 + noise)


@pytest.mark.parametrize("family", FAMILIES)
def test_distance_bounds_and_agrees_with_occupancy(family: str) -> None:
    item, points = _object(family), _points(4000)
    distance = item.distance(points)
    assert distance.dtype == np.float32
    np.testing.assert_array_equal(item.occupancy(points), distance < 0)
    near = points + np.random.default_rng(1).normal(0.0, 0.04, points.shape).astype(np.float32)
    for other in (near, points[::-1]):
        rise = np.abs(distance - item.distance(other))
        assert (rise <= np.linalg.norm(points - other, axis=1) * 1.001 + 2e-5).all()
    # The sign is that of the mesh: just off its surface, along the normal, lie inside and outside.
    surface, normals = _descend(item)
    assert (item.distance(surface + 0.004 * normals) > 0).mean() > 0.95
    assert (item.distance(surface - 0.004 * normals) < 0).mean() > 0.95


@pytest.mark.parametrize("family", EXACT)
def test_exact_families_give_the_euclidean_distance(family: str) -> None:
    item = _object(family)
    assert item.exact
    points = _points(200)
    points = points[item.distance(points) > 0.02]
    vertices = _mesh(family).vertices.astype(np.float64)
    nearest = np.sqrt(((points[:, None].astype(np.float64) - vertices[None]) ** 2).sum(-1)).min(1)
    # Vertices lie on the surface, one cell (0.03) apart at most.
    assert (item.distance(points) <= nearest + 1e-4).all()
    assert (nearest - item.distance(points)).max() < 0.03


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_and_colors(family: str) -> None:
    item = _object(family)
    surface, _ = _descend(item)
    labels = item.labels(surface)
    assert labels.min() >= 0 and labels.max() < len(item.parts) and len(np.unique(labels)) >= min(len(item.parts), 2)
    own = np.array([item.part_distance(label, point[None])[0] for label, point in zip(labels, surface, strict=True)])
    assert np.quantile(np.abs(own), 0.98) < 2e-3
    colors = item.colors(surface)
    assert colors.dtype == np.float32 and colors.min() >= 0 and colors.max() <= 1
    assert len(set(item.label_names)) == len(item.parts)
    assert item.caption.startswith(("a ", "an "))


@pytest.mark.parametrize("family", FAMILIES)
def test_same_seed_same_object_other_seed_another(family: str) -> None:
    points = _points(500)
    first, again, other = generate(family, 11), generate(family, 11), generate(family, 12)
    assert first.distance(points).tobytes() == again.distance(points).tobytes()
    assert first.colors(points).tobytes() == again.colors(points).tobytes()
    assert first.distance(points).tobytes() != other.distance(points).tobytes()


def test_another_process_makes_the_same_object() -> None:
    code = (
        "import numpy as np, zlib; from framework.data.procedural.catalogue import generate;"
        "p = np.random.default_rng(0).uniform(-1, 1, (200, 3)).astype(np.float32);"
        "print(zlib.crc32(generate('car', 7).distance(p).tobytes()))"
    )
    made = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]
    assert made[0].stdout == made[1].stdout != b""


@pytest.mark.parametrize("family", THIN)
def test_thin_families_have_parts_below_a_twelfth(family: str) -> None:
    """Going 0.08 inwards from the surface leaves the part again, on a good share of some object's surface."""
    shares = []
    for seed in (3, 4, 5, 6):
        item = _object(family, seed)
        surface, normals = _descend(item)
        leaves = [item.distance(surface - depth * normals) > 0 for depth in np.linspace(0.03, 0.08, 8)]
        shares.append(np.any(leaves, axis=0).mean())
    assert max(shares) > 0.1


@pytest.mark.parametrize("family", HOLLOW)
def test_hollow_families_hold_air(family: str) -> None:
    """On the axis of the vessel (or shade) lies a point outside the solid with solid below (above) and around it."""
    item = _object(family)
    heights = np.linspace(-0.88, 0.88, 120)
    sides = np.linspace(-0.88, 0.88, 120)
    grid = np.stack(np.meshgrid(sides, heights, indexing="ij"), -1)
    slab = np.concatenate([grid, np.zeros((*grid.shape[:2], 1))], -1).astype(np.float32)
    filled = item.occupancy(slab.reshape(-1, 3)).reshape(120, 120)
    left, right = np.maximum.accumulate(filled, 0), np.maximum.accumulate(filled[::-1], 0)[::-1]
    below, above = np.maximum.accumulate(filled, 1), np.maximum.accumulate(filled[:, ::-1], 1)[:, ::-1]
    enclosed = ~filled & left & right & (above if family == "lamp" else below)
    assert enclosed.sum() > 0.05 * filled.sum()


@pytest.mark.parametrize("seed", [3, 8])
def test_mug_has_genus_one(seed: int) -> None:
    mesh = _mesh("mug", seed)
    edges = len(mesh.faces) * 3 // 2
    assert len(mesh.vertices) - edges + len(mesh.faces) == 0


@pytest.mark.parametrize("seed", [3, 4, 6])
def test_character_layers_are_nested(seed: int) -> None:
    """Under shirt and trousers the body goes on, strictly inside; the outer surface shows body, clothes and hair."""
    item = _object("character", seed)
    names = item.label_names
    body = ProceduralObject(
        family="character",
        seed=seed,
        parts=item.parts[:1],
        caption="",
        scale=item.scale,
        offset=item.offset,
        proportions=item.proportions,
    )
    skin = build_mesh(body, 64).vertices
    clothes = np.min([item.part_distance(i, skin) for i in (1, 2, 3)], axis=0)
    # Values are lower bounds: the true depth is up to twice as large.
    assert (clothes < -0.01).mean() > 0.3
    assert (np.abs(clothes) < 0.0015).mean() < 0.03
    covered = skin[clothes < -0.01]
    assert (item.distance(covered) < 0).all()
    assert (item.labels(covered - 0.02 * body.normals(covered)) == 0).mean() > 0.9
    shown = {names[i] for i in np.unique(item.labels(_mesh("character", seed).vertices))}
    assert {"body", "shirt", "hair", "shoes"} <= shown


def test_airplanes_and_cars_are_their_own_mirror_images() -> None:
    points = _points(2000)
    for family in ("airplane", "car", "sofa"):
        item = _object(family)
        np.testing.assert_allclose(item.distance(points * [-1, 1, 1]), item.distance(points), atol=2e-4)


def test_splits_are_disjoint_and_families_rotate() -> None:
    lists = {split: object_list(split, 42, seed=1) for split in ("train", "val", "test")}
    seeds = [{seed for _, seed in objects} for objects in lists.values()]
    assert not (seeds[0] & seeds[1] or seeds[0] & seeds[2] or seeds[1] & seeds[2])
    for objects in lists.values():
        assert [family for family, _ in objects] == list(FAMILIES) * 3
    assert object_list("test", 100)[:42] == object_list("test", 42)
    assert not {seed for _, seed in object_list("train", 42)} & seeds[0]


def test_wrong_names_are_answered_with_the_right_ones() -> None:
    with pytest.raises(ValueError, match="chair"):
        generate("throne", 0)
    with pytest.raises(ValueError, match="train, val, test"):
        object_list("dev", 3)


@pytest.mark.parametrize("kind", ["stripes", "checks", "grain", "speckle", "band"])
def test_patterns_show_both_colors(kind: str) -> None:
    pattern = Pattern(kind=kind, color=(1.0, 0.0, 0.0), size=0.3)  # type: ignore[arg-type]
    part = Part(label="block", color=(0.0, 0.0, 1.0), sdf=box((2, 2, 2)), pattern=pattern)
    colors = ProceduralObject(family="none", seed=0, parts=(part,), caption="").colors(_points(4000))
    assert 0.02 < (colors[:, 0] == 1.0).mean() < 0.98
