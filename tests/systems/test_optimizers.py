"""Learning-rate curves keep their promises (parity fixtures check official ones); which parameters are optimised."""

import pytest
import torch
from torch import nn

from framework.systems.config import OptimizerConfig, ScheduleConfig
from framework.systems.optimizers import build_optimizer, build_schedule, rate_factor


def test_cosine_ends_with_the_training() -> None:
    factor = rate_factor(ScheduleConfig(kind="cosine", warmup_steps=10, floor=0.1), 110)
    assert factor(0) == pytest.approx(1e-6)
    assert factor(5) == pytest.approx(0.5, abs=1e-5)
    assert factor(10) == 1.0
    assert factor(60) == pytest.approx(0.55)
    assert factor(110) == factor(1000) == pytest.approx(0.1)


def test_cosine_without_an_end_names_the_options() -> None:
    with pytest.raises(ValueError, match=r"trainer\.max_steps.*total_steps"):
        rate_factor(ScheduleConfig(kind="cosine"), float("inf"))
    assert rate_factor(ScheduleConfig(kind="cosine", total_steps=4), float("inf"))(4) == pytest.approx(0)


def test_constant_keeps_its_rate_after_the_warmup() -> None:
    factor = rate_factor(ScheduleConfig(kind="constant", warmup_steps=2), float("inf"))
    assert [factor(step) for step in (2, 3, 10_000)] == [1, 1, 1]


def test_hold_steps_counts_epochs() -> None:
    by_step = rate_factor(ScheduleConfig(kind="cosine"), 10)
    by_epoch = rate_factor(ScheduleConfig(kind="cosine", hold_steps=7), 70)
    assert [by_epoch(7 * epoch + 3) for epoch in range(10)] == pytest.approx([by_step(epoch) for epoch in range(10)])


def test_schedule_drives_the_optimizer() -> None:
    optimizer = build_optimizer(nn.Linear(2, 2).parameters(), OptimizerConfig(learning_rate=0.5))
    schedule = build_schedule(optimizer, ScheduleConfig(kind="cosine"), 2)
    rates = []
    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.5, 0.25, 0])


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam)])
def test_only_trainable_parameters_are_optimised(name: str, kind: type) -> None:
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    optimizer = build_optimizer(layer.parameters(), OptimizerConfig(name=name, betas=(0.8, 0.9)))
    assert type(optimizer) is kind
    assert optimizer.param_groups[0]["params"] == [layer.weight]
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)


def test_a_frozen_system_has_nothing_to_optimise() -> None:
    with pytest.raises(ValueError, match="no trainable parameters"):
        build_optimizer(nn.Linear(2, 2).requires_grad_(False).parameters(), OptimizerConfig())
