"""The order of items is a function of the step."""

from itertools import islice
from types import SimpleNamespace

import pytest

from framework.data.sampler import StepBatchSampler, evaluation_batches


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


def shares(count: int, batch_size: int, world: int) -> list[list[list[tuple[int, int]]]]:
    trainers = [SimpleNamespace(global_rank=rank, world_size=world) for rank in range(world)]
    return [evaluation_batches(count, batch_size, trainer) for trainer in trainers]


def test_one_process_evaluates_in_order() -> None:
    assert evaluation_batches(5, 2, None) == [[(0, 0), (0, 1)], [(0, 2), (0, 3)], [(0, 4)]]
    assert shares(5, 2, 1) == [evaluation_batches(5, 2, None)]
    assert evaluation_batches(0, 2, None) == []


@pytest.mark.parametrize(("count", "batch_size", "world"), [(5, 2, 2), (7, 2, 3), (56, 32, 8), (9, 4, 2), (4, 4, 4)])
def test_processes_evaluate_each_item_once_in_equally_many_batches(count: int, batch_size: int, world: int) -> None:
    found = shares(count, batch_size, world)
    assert sorted(key for share in found for batch in share for key in batch) == [(0, index) for index in range(count)]
    assert len({len(share) for share in found}) == 1
    assert all(1 <= len(batch) <= batch_size for share in found for batch in share)
    assert found[0][0][0] == (0, 0)


@pytest.mark.parametrize(("count", "batch_size", "world"), [(1, 4, 2), (3, 2, 4), (3, 1, 2)])
def test_with_too_few_items_each_process_evaluates_all(count: int, batch_size: int, world: int) -> None:
    assert shares(count, batch_size, world) == [evaluation_batches(count, batch_size, None)] * world
