"""Errors of the data come out of loader processes as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from framework.data.loader import DataError, build_loader
from framework.data.shape_files import ShapeFileError


class Numbers(Dataset[dict[str, Any]]):
    """Ten items, of which one can't be read."""

    def __init__(self, bad: int, error: Exception) -> None:
        self.bad, self.error = bad, error

    def __len__(self) -> int:
        return 10

    def __getitem__(self, key: int) -> dict[str, Any]:
        if key == self.bad:
            raise self.error
        return {"x": torch.tensor(key), "id": str(key)}


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_are_those_of_torch(workers: int) -> None:
    found = list(build_loader(Numbers(-1, ValueError()), batch_size=4, num_workers=workers))
    assert [batch["x"].tolist() for batch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert found[2]["id"] == ["8", "9"]


@pytest.mark.parametrize(("workers", "kind"), [(0, ShapeFileError), (1, DataError)])
def test_an_item_that_cannot_be_read_is_named(workers: int, kind: type[Exception]) -> None:
    error = ShapeFileError(Path("set/a.npz"), "is cut off", "Copy it again")
    batches = iter(build_loader(Numbers(5, error), batch_size=4, num_workers=workers))
    assert next(batches)["x"].tolist() == [0, 1, 2, 3]
    with pytest.raises(kind) as caught:
        next(batches)
    assert str(caught.value) == str(error)


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(AttributeError, match="Traceback"):
        list(build_loader(Numbers(0, AttributeError("a mistake of ours")), batch_size=4, num_workers=1))
