"""Learning-rate curves against the reference numbers and their own promises; which parameters are optimised."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from framework.systems.config import OptimizerConfig, ScheduleConfig
from framework.systems.optimizers import build_optimizer, build_schedule, rate_factor

FIXTURE = Path(__file__).parents[1] / "parity/fixtures/craftsman/lr_schedules"


@pytest.mark.parametrize(
    ("name", "rate", "schedule"),
    [
        ("warmup_cosine", 5e-5, ScheduleConfig(kind="official", warmup_steps=5000, period=5000)),
        ("cosine_epoch", 2e-4, ScheduleConfig(kind="official", period=5000, floor=1e-6 / 2e-4)),
    ],
)
def test_official_schedules_follow_the_reference(name: str, rate: float, schedule: ScheduleConfig) -> None:
    facts = json.loads(FIXTURE.with_suffix(".json").read_text())
    reference = load_file(FIXTURE.with_suffix(".safetensors"))[name]
    factor = rate_factor(schedule, float("inf"))
    ours = torch.tensor([rate * factor(i * facts["config"]["stride"]) for i in range(len(reference))]).double()
    torch.testing.assert_close(ours, reference, **facts["tolerance"])


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
