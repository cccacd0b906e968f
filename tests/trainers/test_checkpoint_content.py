"""What stands in a checkpoint is checked before a training goes on from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from framework.trainers.checkpoint_content import CheckpointError, check_training, read_checkpoint
from framework.weights.folder import WeightsError

SHAPES = {"a": (2, 3), "b": (3,)}
PATH = Path("run/last.ckpt")


def training(**changes: Any) -> dict[str, Any]:
    """What is looked at of a checkpoint of a network with the weights `SHAPES`."""
    weights = {name: torch.ones(shape) for name, shape in SHAPES.items()}
    kept = {
        number: {"step": torch.tensor(1.0), "exp_avg": value, "exp_avg_sq": value}
        for number, value in enumerate(weights.values())
    }
    content = {
        "state_dict": weights,
        "global_step": 1,
        "epoch": 0,
        "pytorch-lightning_version": "2.6.0",
        "loops": {},
        "lr_schedulers": [],
        "optimizer_states": [{"state": kept, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}],
        "ema": {"updates": 1, "shadow": weights},
    }
    return content | changes


def optimizer(**kept: Any) -> dict[str, Any]:
    return {"optimizer_states": [{"state": {0: kept}, "param_groups": [{}]}]}


def test_a_whole_one_is_taken(tmp_path: Path) -> None:
    check_training(training(), SHAPES, PATH)
    check_training(training(**optimizer(momentum_buffer=None, factor=torch.ones(7), count=3)), SHAPES, PATH)
    torch.save(training(), tmp_path / "last.ckpt")
    assert read_checkpoint(tmp_path / "last.ckpt")["global_step"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loops": [1]}, "loops is missing"),
        ({"pytorch-lightning_version": "nine"}, "is 'nine', which is none"),
        ({"optimizer_states": []}, "the state of its optimiser"),
        ({"optimizer_states": [1]}, "the state of its optimiser"),
        ({"optimizer_states": [{"state": {}, "param_groups": []}]}, "the state of its optimiser"),
        (optimizer(exp_avg=torch.ones(7)), "the state of its optimiser"),
        (optimizer(exp_avg=torch.ones(2, 3).to_sparse()), "the state of its optimiser"),
        (optimizer(exp_avg="a"), "the state of its optimiser"),
    ],
)
def test_what_no_training_can_go_on_from(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        check_training(training(**changes), SHAPES, PATH)
    assert str(caught.value).startswith(str(PATH))


@pytest.mark.parametrize("shadow", [{"a": torch.ones(9)}, {"c": torch.ones(3)}])
def test_averages_of_another_network(shadow: dict[str, torch.Tensor]) -> None:
    with pytest.raises(WeightsError, match="don't fit the network"):
        check_training(training(ema={"updates": 1, "shadow": shadow}), SHAPES, PATH)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"global_step": "two"}, "is no checkpoint of a training"),
        ({"state_dict": {"a": 1}}, "something else than tensors"),
        ({"ema": [1]}, "no averages where they should be"),
        ({"ema": {"updates": 1, "shadow": {"a": "b"}}}, "something else than tensors"),
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    torch.save(training(**changes), tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(tmp_path / "last.ckpt")
