"""Items and batches of shapes: a function of seed, epoch and index; right points, occupancy, views and cameras."""

from __future__ import annotations

import logging
import pickle
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from framework.data.config import ShapesConfig
from framework.data.shape_files import ShapeFileError, write_arrays, write_split
from framework.data.shapes import ShapesData
from framework.renderers.views import canonical_cameras
from tests.data.balls import RADIUS, ball_arrays, inside, write_balls

SIZES = {"surface_points": 32, "supervision_points": 24, "validation_points": 40, "batch_size": 4}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_balls(tmp_path_factory.mktemp("balls"), groups=2)


def shapes_data(root: Path, **options: Any) -> ShapesData:
    return ShapesData(ShapesConfig(root=str(root), **(SIZES | options)))


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[key]) if isinstance(value, torch.Tensor) else value == second[key]
        for key, value in first.items()
    )


def test_batches_have_the_documented_shapes(root: Path) -> None:
    data = shapes_data(root, views=3, near_fraction=0.5)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    shapes = {key: tuple(value.shape) for key, value in batch.items() if isinstance(value, torch.Tensor)}
    assert shapes == {
        "surface": (4, 32, 6),
        "points": (4, 24, 3),
        "occupancy": (4, 24),
        "views": (4, 3, 4, 8, 8),
        "world_from_camera": (4, 3, 4, 4),
        "index": (4,),
    }
    assert {value.dtype for key, value in batch.items() if key not in ("index", "id")} == {torch.float32}
    assert [f"s/t{index}" for index in batch["index"]] == batch["id"]


def test_points_lie_where_they_should(root: Path) -> None:
    item = shapes_data(root, supervision_points=200, near_fraction=0.5).dataset("train")[0, 0]
    centred = item["surface"][:, :3].numpy() - [0.2, 0, 0]
    np.testing.assert_allclose(np.linalg.norm(centred, axis=1), RADIUS, atol=1e-3)
    np.testing.assert_allclose((centred * item["surface"][:, 3:].numpy()).sum(1), RADIUS, atol=2e-3)
    np.testing.assert_array_equal(item["occupancy"].numpy(), inside(item["points"].numpy()))
    away = np.abs(np.linalg.norm(item["points"].numpy() - [0.2, 0, 0], axis=1) - RADIUS)
    assert away[100:].max() < 0.1 < away[:100].max()  # the second half comes from near.npz
    assert len(np.unique(item["surface"].numpy(), axis=0)) == 32  # drawn without replacement


def test_an_item_follows_from_seed_epoch_and_index(root: Path) -> None:
    options = {"views": 4, "view_groups": "all", "mirror": 0.5, "noise": 0.01, "near_fraction": 0.3}
    items = shapes_data(root, **options).dataset("train")
    again = shapes_data(root, **options, cache="memory").dataset("train")
    for key in ((0, 0), (0, 3), (5, 3), (1, 0), (0, 0)):
        assert same(items[key], again[key])
    assert not same(items[0, 0], items[1, 0])
    assert not same(items[0, 0], shapes_data(root, **options, seed=1).dataset("train")[0, 0])


def test_a_resumed_training_sees_the_batches_that_were_left(root: Path) -> None:
    class At:
        def __init__(self, step: int) -> None:
            self.global_step, self.accumulate_grad_batches, self.global_rank, self.world_size = step, 1, 0, 1

    whole, rest = shapes_data(root), shapes_data(root)
    rest.trainer = At(3)
    for first, second in zip(islice(whole.train_dataloader(), 3, 7), islice(rest.train_dataloader(), 4), strict=True):
        assert same(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loader_processes_change_nothing(root: Path, context: str) -> None:
    alone = islice(shapes_data(root, views=1).train_dataloader(), 5)
    loader = shapes_data(root, views=1, workers=2).train_dataloader()
    loader.multiprocessing_context = context
    for first, second in zip(alone, islice(loader, 5), strict=True):
        assert same(first, second)


def test_mirrored_items_show_the_mirrored_object(root: Path) -> None:
    plain = shapes_data(root, views=4).dataset("train")[0, 0]
    mirrored = shapes_data(root, views=4, mirror=1.0).dataset("train")[0, 0]
    flip = torch.tensor([-1.0, 1, 1, -1, 1, 1])
    centred = mirrored["surface"] * flip
    np.testing.assert_allclose(np.linalg.norm(centred[:, :3].numpy() - [0.2, 0, 0], axis=1), RADIUS, atol=1e-3)
    unflipped = mirrored["points"].numpy() * np.float32([-1, 1, 1])
    np.testing.assert_array_equal(mirrored["occupancy"].numpy(), inside(unflipped))
    # What a mirrored object shows on its right is what the object shows on its left, mirrored.
    np.testing.assert_array_equal(mirrored["views"], plain["views"][[0, 3, 2, 1]].flip(-1))
    np.testing.assert_allclose(mirrored["world_from_camera"], canonical_cameras().world_from_camera, atol=1e-6)


def test_mirrored_cameras_of_a_turned_group_turn_the_other_way(root: Path) -> None:
    plain = shapes_data(root, views=4, view_groups="all").dataset("train")
    mirrored = shapes_data(root, views=4, view_groups="all", mirror=1.0).dataset("train")
    points = torch.randn(5, 3)
    seen = 0
    for epoch in range(8):
        item = mirrored[epoch, 0]
        turned = not torch.allclose(item["world_from_camera"][0], canonical_cameras().world_from_camera[0], atol=1e-5)
        if turned:
            seen += 1
            camera = item["world_from_camera"]
            source = next(
                other["world_from_camera"]
                for other in (plain[number, 0] for number in range(20))
                if other["views"][0, 0, 0, 0] > 0.1
            )
            local = torch.einsum("kji,knj->kni", camera[:, :3, :3], points - camera[:, None, :3, 3])
            flipped = points * torch.tensor([-1.0, 1, 1])
            other = source[[0, 3, 2, 1]]
            expected = torch.einsum("kji,knj->kni", other[:, :3, :3], flipped - other[:, None, :3, 3])
            torch.testing.assert_close(local, expected * torch.tensor([-1.0, 1, 1]), atol=1e-4, rtol=0)
    assert seen


def test_views_of_further_groups_come_with_turned_cameras(root: Path) -> None:
    items = shapes_data(root, views=2, view_groups="all").dataset("train")
    starts = set()
    for epoch in range(12):
        item = items[epoch, 0]
        numbers = (item["views"][:, 0, 0, 0] * 255 / 10).round().int().tolist()
        starts.add(numbers[0])
        level = torch.allclose(item["world_from_camera"], canonical_cameras().world_from_camera[:2], atol=1e-6)
        assert numbers[1] == numbers[0] + 1 and level == (numbers[0] == 0)
    assert starts == {0, 4}


def test_validation_is_the_same_every_time(root: Path) -> None:
    data = shapes_data(root, noise=0.1, mirror=1.0, near_fraction=1.0, views=1, view_groups="all")
    first, second = (list(data.val_dataloader()) for _ in range(2))
    assert len(first) == 1 and same(first[0], second[0])
    assert first[0]["points"].shape == (2, 40, 3)
    spread = (first[0]["points"] - torch.tensor([0.2, 0, 0])).norm(dim=-1)
    assert (spread - RADIUS).abs().max() > 0.3  # uniform in the volume, not near the surface
    assert (first[0]["surface"][..., :3] - torch.tensor([0.2, 0, 0])).norm(dim=-1).sub(RADIUS).abs().max() < 2e-3


def test_views_can_be_resampled(root: Path) -> None:
    assert shapes_data(root, views=1, view_size=4).dataset("train")[0, 0]["views"].shape == (1, 4, 4, 4)


def test_a_broken_object_is_replaced_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_balls(tmp_path, train=4)
    (tmp_path / "geometry/s/t2/points.npz").write_bytes(b"")
    items = shapes_data(tmp_path).dataset("train")
    with caplog.at_level(logging.WARNING):
        item = items[0, 2]
    assert item["id"] != "s/t2" and same(item, items[0, 2])
    assert "left out s/t2" in caplog.text and "points.npz: can't be read" in caplog.text


def test_a_set_of_broken_objects_ends_with_the_reason(tmp_path: Path) -> None:
    write_balls(tmp_path, train=2, val=0)
    for name in ("t0", "t1"):
        (tmp_path / f"geometry/s/{name}/pointcloud.npz").unlink()
    with pytest.raises(ShapeFileError, match=r"pointcloud\.npz: does not exist"):
        shapes_data(tmp_path).dataset("train")[0, 0]


def test_too_few_points_are_named(root: Path) -> None:
    with pytest.raises(ShapeFileError, match="surface points: 5000 are wanted, 400 are there"):
        shapes_data(root, surface_points=5000).dataset("train")[0, 0]


def test_a_missing_set_is_named_before_training(tmp_path: Path) -> None:
    with pytest.raises(ShapeFileError, match=r"data\.root.*not given"):
        ShapesData(ShapesConfig()).setup("fit")
    with pytest.raises(ShapeFileError, match=r"train\.json: does not exist"):
        shapes_data(tmp_path).setup("fit")
    write_split(tmp_path, "train", [])
    with pytest.raises(ShapeFileError, match=r"train\.json: lists no object"):
        shapes_data(tmp_path).setup("fit")


@pytest.mark.parametrize(
    "options",
    [{"views": 5}, {"mirror": 2.0}, {"near_fraction": -1.0}, {"batch_size": 0}, {"cache": "memory", "workers": 1}],
)
def test_impossible_options_are_errors(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ShapesConfig(**options)


def test_items_travel_to_other_processes(root: Path) -> None:
    items = shapes_data(root).dataset("train")
    assert same(pickle.loads(pickle.dumps(items))[0, 1], items[0, 1])


def test_the_fingerprint_tells_sets_apart(tmp_path: Path) -> None:
    """It is the same for the same objects; a name, a point or a damaged file changes it, and none of them raises."""
    roots = [write_balls(tmp_path / name) for name in ("one", "two")]
    first, second = (shapes_data(root).fingerprint() for root in roots)
    assert first == second
    write_arrays(roots[0] / "geometry" / "s" / "t0", ball_arrays(seed=99))
    assert shapes_data(roots[0]).fingerprint() != first
    write_split(roots[1], "train", [f"geometry/s/t{index}" for index in range(5)])
    assert shapes_data(roots[1]).fingerprint() != first
    before = shapes_data(roots[1]).fingerprint()
    (roots[1] / "geometry" / "s" / "t0" / "points.npz").write_bytes(b"")
    assert shapes_data(roots[1]).fingerprint() != before
