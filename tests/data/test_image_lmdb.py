"""Items of picture sets: what they hold, in which order, from which of many possible sets; errors name the key."""

from __future__ import annotations

import io
import json
import shutil
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PilImage

from framework.config.errors import ConfigError
from framework.data.config import ImageLmdbConfig
from framework.data.image_lmdb import ImageLmdbData, scaled
from framework.data.image_set import SET_FILE, ImageSet, ImageSetError, split_of
from framework.data.lmdb_store import write_lmdb
from framework.data.loader import DataError, build_loader
from framework.data.square_pictures import png_bytes
from framework.testing.contract.sharing import check_sharing
from framework.testing.picture_set import ellipse, write_picture_set

lmdb = pytest.importorskip("lmdb", reason="extra 'data' is not installed")
COUNT = 12


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_picture_set(tmp_path_factory.mktemp("sets") / "pictures", COUNT)


def data(root: Path, **options: Any) -> ImageLmdbData:
    settings = {"batch_size": 4, "thumb_resolution": 8, "val_fraction": 0.0} | options
    return ImageLmdbData(ImageLmdbConfig(root=str(root), **settings))


def batches(module: ImageLmdbData, count: int) -> list[dict[str, Any]]:
    return list(islice(module.train_dataloader(), count))


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[key], second[key]) if isinstance(first[key], torch.Tensor) else first[key] == second[key]
        for key in first
    )


def test_a_batch_holds_pictures_and_thumbnails(root: Path) -> None:
    batch = batches(data(root, resolution=64), 1)[0]
    assert {key: tuple(value.shape) for key, value in batch.items() if key != "id"} == {
        "image": (4, 3, 64, 64),
        "thumbnail": (4, 3, 8, 8),
        "index": (4,),
    }
    assert batch["id"] == [f"{index:05d}" for index in batch["index"].tolist()]
    assert batch["image"].dtype == torch.float32
    assert -1 <= batch["image"].min() < -0.5 < 0.5 < batch["image"].max() <= 1


def test_numbers_are_those_of_the_published_reader(root: Path) -> None:
    """Mirrored first, then resized with the Hamming filter; (v / 255 - 0.5) / 0.5."""
    items = data(root, resolution=64).dataset("train")
    for index in range(COUNT):
        for epoch in range(3):
            pixels = ellipse(index, 64)
            pixels = np.ascontiguousarray(pixels[:, ::-1]) if items.mirrored(epoch, index) else pixels
            small = PilImage.fromarray(pixels).resize((8, 8), PilImage.Resampling.HAMMING)
            item = items[epoch, index]
            for found, expected in ((item["image"], pixels), (item["thumbnail"], np.asarray(small))):
                wanted = (torch.from_numpy(expected.copy()).permute(2, 0, 1).float() / 255 - 0.5) / 0.5
                torch.testing.assert_close(found, wanted, atol=0, rtol=0)
    assert torch.equal(scaled(np.array([[[0, 255, 51]]], np.uint8)).ravel(), torch.tensor([-1, 1, -0.6]))


def test_half_of_the_items_are_mirrored_by_seed_epoch_and_index(root: Path) -> None:
    items, others = data(root).dataset("train"), data(root, seed=1).dataset("train")
    found = [
        [source.mirrored(epoch, index) for epoch in range(50) for index in range(COUNT)] for source in (items, others)
    ]
    assert all(0.4 < np.mean(flips) < 0.6 for flips in found) and found[0] != found[1]
    assert not any(data(root, flip=False).dataset("train").mirrored(epoch, 0) for epoch in range(20))
    assert not any(data(root, val_fraction=0.5).dataset("val").mirrored(epoch, 0) for epoch in range(20))


@pytest.mark.parametrize(("options", "keys"), [({"image": False}, {"thumbnail"}), ({"thumb_resolution": 0}, {"image"})])
def test_what_is_not_wanted_is_left_out(root: Path, options: dict[str, Any], keys: set[str]) -> None:
    assert batches(data(root, **options), 1)[0].keys() == keys | {"id", "index"}


def test_the_smallest_size_that_serves_is_read(root: Path) -> None:
    sizes = {wanted: data(root, thumb_resolution=wanted).dataset("train").resolution for wanted in (0, 8, 16, 17, 64)}
    assert sizes == {0: 16, 8: 16, 16: 16, 17: 64, 64: 64}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"resolution": 256},
            "no pictures of 256 pixels; sizes present: 16, 64. Choose one of these with data.resolution",
        ),
        ({"thumb_resolution": 100}, "no pictures of 100 pixels or more; sizes present: 16, 64"),
    ],
)
def test_a_missing_size_is_named_before_the_first_step(root: Path, options: dict[str, Any], text: str) -> None:
    for stage in ("fit", "validate", "test"):
        with pytest.raises(ImageSetError) as caught:
            data(root, **options).setup(stage)
        assert text in str(caught.value) and str(root / SET_FILE) in str(caught.value)


def test_workers_and_memory_change_nothing(root: Path) -> None:
    plain = batches(data(root, resolution=64), 7)
    for options in ({"workers": 2}, {"cache": "memory"}):
        others = batches(data(root, resolution=64, **options), 7)
        assert all(map(same, plain, others)), options
    assert not same(plain[0], plain[3])


def test_memory_reads_each_picture_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    picture = ImageSet.picture
    monkeypatch.setattr(
        ImageSet, "picture", lambda self, size, index: reads.append(index) or picture(self, size, index)
    )
    items = data(root, cache="memory").dataset("train")
    for epoch in range(30):
        for index in range(COUNT):
            items[epoch, index]
    assert sorted(reads) == sorted([*range(COUNT)] * 2)  # as it is, and mirrored


def test_a_continued_training_reads_what_was_left(root: Path) -> None:
    module = data(root)
    whole = batches(module, 6)
    module.trainer = SimpleNamespace(global_step=2, accumulate_grad_batches=1, global_rank=0, world_size=1)  # type: ignore[assignment]
    assert all(map(same, batches(module, 4), whole[2:]))


def test_processes_share_the_items(root: Path) -> None:
    check_sharing(data(root, val_fraction=0.4))


def test_an_epoch_has_every_item_once_and_validation_the_others(root: Path) -> None:
    module = data(root, val_fraction=0.3, test_fraction=0.2, batch_size=1)
    found = {split: module.dataset(split).indexes for split in ("train", "val", "test")}
    assert sorted(sum(found.values(), [])) == list(range(COUNT)) and all(found.values())
    seen = [int(batch["index"]) for batch in batches(module, len(found["train"]))]
    assert sorted(seen) == found["train"]
    assert [int(batch["index"]) for batch in module.val_dataloader()] == found["val"]
    assert [int(batch["index"]) for batch in module.test_dataloader()] == found["test"]


def test_the_rule_gives_close_to_the_shares_and_never_moves_a_picture() -> None:
    for count in (50, 936, 5000):
        splits = [split_of(index, 0.1, 0.05) for index in range(count)]
        assert abs(splits.count("val") - 0.1 * count) <= 2 and abs(splits.count("test") - 0.05 * count) <= 2
    more = [split_of(index, 0.2, 0.0) for index in range(500)]
    assert all(more[index] == "val" for index in range(500) if split_of(index, 0.1, 0.0) == "val")


def official(folder: Path, values: dict[str, bytes]) -> Path:
    """A set as other programs write it, with LMDB's own library: a folder with data.mdb and lock.mdb."""
    with lmdb.open(str(folder), map_size=2**24, readahead=False) as environment:
        for key, value in values.items():
            with environment.begin(write=True) as transaction:
                transaction.put(key.encode(), value)
    return folder


def png(number: int, size: int) -> bytes:
    return png_bytes(PilImage.fromarray(ellipse(number, size)))


def test_an_existing_set_works_unchanged(tmp_path: Path) -> None:
    values = {f"{size}-{index:05d}": png(index, size) for index in range(30) for size in (256, 1024 // 16)}
    folder = official(tmp_path / "set", values | {"length": b"30"})
    before = (folder / "data.mdb").read_bytes()
    module = data(folder, val_fraction=0.1, thumb_resolution=32)
    module.setup("fit")
    found = module.dataset("train")
    assert (found.resolution, len(found), len(module.dataset("val"))) == (64, 27, 3)
    np.testing.assert_array_equal(found.source.picture(256, 17), ellipse(17, 256))
    assert batches(module, 1)[0]["thumbnail"].shape == (4, 3, 32, 32)
    assert (folder / "data.mdb").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["data.mdb", "lock.mdb"]
    single = data(folder / "data.mdb", val_fraction=0.1)  # the file itself is as good
    assert len(single.dataset("train")) == 27


def test_a_hundred_thousand_keys_grow_by_a_digit(tmp_path: Path) -> None:
    values = [("8-99999", png(1, 8)), ("8-100000", png(2, 8)), ("8-00000", png(3, 8)), ("length", b"100001")]
    write_lmdb(tmp_path / SET_FILE, values)
    items = data(tmp_path).dataset("train")
    assert len(items) == 100_001 and items[0, 100_000]["id"] == "100000"


def test_lists_count_and_are_checked(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "set")
    (tmp_path / "set" / "val.json").write_text("[3, 1]")
    module = data(tmp_path / "set", val_fraction=0.5)
    assert [module.dataset(split).indexes for split in ("val", "test")] == [[1, 3], []]
    assert len(module.dataset("train")) == COUNT - 2
    for wrong in ([12], [-1], ["1"], [1.0], [True], {"1": 1}, None):
        (tmp_path / "set" / "val.json").write_text(json.dumps(wrong))
        with pytest.raises(ImageSetError, match=r"val.json.*Expected a list of indexes from 0 to 11"):
            module.dataset("train")
    (tmp_path / "set" / "val.json").write_text(json.dumps([*range(COUNT)]))
    with pytest.raises(ImageSetError, match="no picture for training"):
        module.setup("fit")


def test_a_fingerprint_tells_sets_apart(root: Path, tmp_path: Path) -> None:
    assert data(root).fingerprint() == data(root, workers=2, batch_size=1).fingerprint()
    other = write_picture_set(tmp_path / "more", COUNT + 1)
    values = {f"16-{index:05d}": png(index + (index == 5), 16) for index in range(COUNT)}
    changed = official(tmp_path / "changed", values | {"length": b"12"})
    found = [data(each).fingerprint() for each in (root, other, changed)]
    found += [data(root, val_fraction=0.5).fingerprint(), data(root, resolution=64).fingerprint()]
    assert len(set(found)) == len(found)


def broken_sets() -> dict[str, tuple[dict[str, bytes], str]]:
    """Name -> keys and values that replace those of a good set (empty: gone), and what the error says."""
    large = io.BytesIO()
    PilImage.new("1", (7000, 7000)).save(large, "PNG")
    grey = png_bytes(PilImage.new("L", (16, 16)))
    jpeg = io.BytesIO()
    PilImage.new("RGB", (16, 16)).save(jpeg, "JPEG")
    return {
        "no length": ({"length": b""}, "has no key 'length'"),
        "length in words": ({"length": b"many"}, "key 'length' is 'many', expected the number"),
        "length negative": ({"length": b"-3"}, "key 'length' is '-3'"),
        "length zero": ({"length": b"0"}, "key 'length' is '0'"),
        "length endless": ({"length": b"9" * 5000}, "key 'length' is '9999"),
        "length too large": ({"length": b"13"}, "has no key '16-00012', but 'length' says that there are 13"),
        "picture missing": ({"16-00003": b""}, "has no key '16-00003'. The set is not whole"),
        "text": ({"16-00003": b"nothing"}, "key '16-00003' is no PNG file. Prepare"),
        "jpeg": ({"16-00003": jpeg.getvalue()}, "key '16-00003' is no PNG file. Prepare"),
        "cut": ({"16-00003": png(3, 16)[:300]}, "key '16-00003' is a PNG file that is damaged or cut off"),
        "size": ({"16-00003": png(3, 15)}, "key '16-00003' holds 15 x 15 pixels of mode RGB, expected 16 x 16"),
        "mode": ({"16-00003": grey}, "key '16-00003' holds 16 x 16 pixels of mode L, expected 16 x 16 of mode RGB"),
        "bomb": ({"16-00003": large.getvalue()}, "key '16-00003' holds a picture that has 7000 x 7000 pixels"),
    }


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", broken_sets())
def test_broken_sets_name_the_key(name: str, workers: int, tmp_path: Path) -> None:
    changes, text = broken_sets()[name]
    values = {f"16-{index:05d}": png(index, 16) for index in range(COUNT)} | {"length": b"12"} | changes
    root = official(tmp_path / "set", {key: value for key, value in values.items() if value})
    with pytest.raises((ImageSetError, DataError)) as caught:
        module = data(root, workers=workers)
        module.setup("fit")
        batches(module, 3)
    assert str(root / SET_FILE) in str(caught.value) and text in str(caught.value)


def test_what_is_no_set_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / SET_FILE).write_bytes(b"no database" * 1000)
    cut = official(tmp_path / "cut", {"16-00000": bytes(90_000), "length": b"1"})
    (cut / SET_FILE).write_bytes((cut / SET_FILE).read_bytes()[:20_000])
    expected: dict[str, str] = {
        "absent": "does not exist. Give data.root=",
        "empty": "holds no data.mdb. Prepare one: launch.py prepare data=image_lmdb",
        "text": "can't be read as LMDB: it does not begin as an LMDB file does",
        "cut": "can't be read as LMDB: it is cut off",
    }
    for name, text in expected.items():
        with pytest.raises(ImageSetError) as caught:
            data(tmp_path / name).setup("fit")
        assert text in str(caught.value) and name in str(caught.value)
    with pytest.raises(ImageSetError, match=r"data.root: is not given"):
        ImageLmdbData(ImageLmdbConfig()).setup("fit")


@pytest.mark.parametrize(
    "options",
    [
        *({"sizes": sizes} for sizes in ((), (0,), (64, 64), (9000,))),
        *({"resolution": 8}, {"resolution": 0, "thumb_resolution": 0}, {"thumb_resolution": -1}),
        *({"image": False, "thumb_resolution": 0}, {"val_fraction": 1.0}, {"val_fraction": -0.1}, {"batch_size": 0}),
        *({"processes": 0}, {"workers": -1}, {"seed": -1}, {"cache": "memory", "workers": 1}),
    ],
)
def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ImageLmdbConfig(**options)


def test_one_open_file_serves_forked_processes(root: Path) -> None:
    """Loader processes are forked with the parent's open file, and read at the same time as it."""
    module = data(root, workers=2, resolution=64, batch_size=2)
    items = module.dataset("train")
    items[0, 0]
    batches = [[(0, index % COUNT), (0, (index + 5) % COUNT)] for index in range(60)]
    loader = build_loader(items, batch_sampler=batches, num_workers=2)
    expected = [items[0, index]["image"] for index in range(COUNT)]
    for number, batch in enumerate(loader):
        assert torch.equal(batch["image"][0], expected[number % COUNT])
        assert torch.equal(items[0, number % COUNT]["image"], expected[number % COUNT])
