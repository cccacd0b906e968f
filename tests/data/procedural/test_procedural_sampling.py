"""Samples of procedural objects: on the surface, with unit normals, exact occupancy, four views, always the same."""

import numpy as np
import pytest

from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh, project, render_views, sample_object, stored_precision


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return sample_object(generate("mug", 5), 2000, 3000, 1001, views=4, view_size=48, resolution=64)


def test_shapes_and_types(arrays: dict[str, np.ndarray]) -> None:
    found = {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}
    assert found == {
        "surface": ((2000, 3), "float32"),
        "normals": ((2000, 3), "float32"),
        "surface_labels": ((2000,), "uint8"),
        "volume": ((3000, 3), "float32"),
        "volume_occupancy": ((3000,), "bool"),
        "near": ((1001, 3), "float32"),
        "near_occupancy": ((1001,), "bool"),
        "views": ((4, 48, 48, 4), "uint8"),
    }


def test_points_are_where_they_should_be(arrays: dict[str, np.ndarray]) -> None:
    item = generate("mug", 5)
    # Rounding to the files' precision moves surface points by up to 2.5e-4 per axis.
    assert np.abs(item.distance(arrays["surface"])).max() < 6e-4
    np.testing.assert_allclose(np.linalg.norm(arrays["normals"], axis=1), 1.0, atol=1e-4)
    outwards = item.distance(arrays["surface"] + 0.01 * arrays["normals"])
    assert (outwards > 0.005).mean() > 0.97
    assert np.abs(arrays["volume"]).max() <= 1.1 and arrays["volume"].std(axis=0) == pytest.approx(
        1.1 / 3**0.5, rel=0.05
    )
    distances = np.abs(item.distance(arrays["near"]))
    assert np.median(distances[:501]) < 0.02 < np.median(distances[501:]) < 0.08


def test_occupancy_is_exact_for_the_stored_points(arrays: dict[str, np.ndarray]) -> None:
    item = generate("mug", 5)
    for name in ("volume", "near"):
        np.testing.assert_array_equal(stored_precision(arrays[name]), arrays[name])
        np.testing.assert_array_equal(item.occupancy(arrays[name]), arrays[f"{name}_occupancy"])
    assert 0.3 < arrays["near_occupancy"].mean() < 0.6


def test_same_seed_same_bytes(arrays: dict[str, np.ndarray]) -> None:
    again = sample_object(generate("mug", 5), 2000, 3000, 1001, views=4, view_size=48, resolution=64)
    assert all(again[name].tobytes() == array.tobytes() for name, array in arrays.items())


def test_views_stand_in_the_promised_order(arrays: dict[str, np.ndarray]) -> None:
    """The handle at +X shows to the right from the front, to the left from the back."""
    alpha = arrays["views"][..., 3] > 127
    columns = np.flatnonzero(alpha[0].any(0))
    assert (columns[0] + columns[-1]) / 2 == pytest.approx(23.5, abs=0.6)  # the object is centred
    heights = alpha.sum(1)
    assert heights[0, columns[:8]].mean() > 1.3 * heights[0, columns[-8:]].mean()
    np.testing.assert_array_equal(alpha[0], alpha[2][:, ::-1])
    np.testing.assert_array_equal(alpha[1], alpha[3][:, ::-1])
    # Half extent 1.2: the longest side, 1.8, takes three quarters of the picture.
    rows = np.flatnonzero(alpha[0].any(1))
    assert max(columns[-1] - columns[0], rows[-1] - rows[0]) + 1 == pytest.approx(36, abs=1)


def test_fewer_views_and_none() -> None:
    mesh = build_mesh(generate("sofa", 1), 32)
    assert render_views(mesh, 1, 16).shape == (1, 16, 16, 4)
    assert render_views(mesh, 0, 16).shape == (0, 16, 16, 4)
    with pytest.raises(ValueError, match="views"):
        render_views(mesh, 5, 16)


def test_coarse_to_fine_finds_what_a_full_grid_finds() -> None:
    """Skipped blocks hold no surface: signs agree with those of a full evaluation at every grid point."""
    from framework.data.procedural.sampling import GRID_EXTENT, _field_grid

    for family in ("chair", "airplane", "character"):
        item, axis = generate(family, 2), np.linspace(-GRID_EXTENT, GRID_EXTENT, 49)
        full = item.distance(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3))
        sparse = _field_grid(item, 48)
        assert (np.sign(sparse.ravel()) == np.sign(full))[np.abs(full) > 1e-5].all()


def test_projection_arrives_on_the_surface() -> None:
    item = generate("vase", 4)
    mesh = build_mesh(item, 48)
    rough = mesh.vertices + np.float32(0.005)
    points, normals = project(item, rough, 3)
    assert np.quantile(np.abs(item.distance(points)), 0.99) < 1e-4
    assert np.linalg.norm(normals, axis=1) == pytest.approx(np.ones(len(points)), abs=1e-4)


def test_vertex_colors_are_those_of_the_parts() -> None:
    item = generate("sofa", 2)
    mesh = build_mesh(item, 32)
    assert mesh.vertex_colors is not None
    np.testing.assert_allclose(mesh.vertex_colors, item.colors(mesh.vertices), atol=1e-6)
