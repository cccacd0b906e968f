"""The order of items is a function of the step."""

from itertools import islice
from types import SimpleNamespace

import pytest

from framework.data.sampler import StepBatchSampler


def test_every_item_comes_once_in_every_epoch() -> None:
    keys = [key for batch in islice(StepBatchSampler(10, 4, seed=1), 15) for key in batch]
    assert sorted(keys) == [(epoch, index) for epoch in range(6) for index in range(10)]
    assert [index for epoch, index in keys if epoch == 0] != [index for epoch, index in keys if epoch == 1]


def test_a_later_start_continues_the_same_stream() -> None:
    whole = list(islice(StepBatchSampler(7, 3, seed=5), 20))
    for start in (1, 9, 13):
        assert list(islice(StepBatchSampler(7, 3, seed=5, start=start), 20 - start)) == whole[start:]


def test_processes_share_a_batch_without_overlap() -> None:
    alone = list(islice(StepBatchSampler(11, 6, seed=2), 5))
    pair = [list(islice(StepBatchSampler(11, 3, seed=2, rank=rank, world_size=2), 5)) for rank in (0, 1)]
    assert [first + second for first, second in zip(*pair, strict=True)] == alone


def test_the_order_depends_on_the_seed() -> None:
    assert next(iter(StepBatchSampler(50, 10, seed=0))) != next(iter(StepBatchSampler(50, 10, seed=1)))


def test_it_starts_after_the_steps_of_the_trainer() -> None:
    trainer = SimpleNamespace(global_step=6, accumulate_grad_batches=2, global_rank=0, world_size=1)
    assert StepBatchSampler.for_trainer(9, 2, 0, trainer).start == 12
    assert StepBatchSampler.for_trainer(9, 2, 0, None).start == 0


@pytest.mark.parametrize("options", [{"count": 0}, {"batch_size": 0}, {"rank": 2}])
def test_impossible_sizes_are_errors(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="sampler"):
        StepBatchSampler(**{"count": 4, "batch_size": 2, "seed": 0, "world_size": 2} | options)
