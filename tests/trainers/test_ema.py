"""The running average: its arithmetic, and where it is swapped in."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from framework.trainers.ema import EMA


def step(ema: EMA, trainer: Any, module: Any) -> None:
    trainer.global_step += 1
    ema.on_train_batch_end(trainer, module, None, None, 0)


def started(ema: EMA, module: nn.Module) -> Any:
    trainer = SimpleNamespace(global_step=0)
    ema.on_fit_start(trainer, module)  # type: ignore[arg-type]
    ema.on_train_start(trainer, module)  # type: ignore[arg-type]
    return trainer


def test_average_follows_its_formula() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    ema = EMA(0.9, warmup=False)
    trainer = started(ema, module)
    expected = 1.0
    for value in (2.0, 3.0, 5.0):
        nn.init.constant_(module.weight, value)
        step(ema, trainer, module)
        expected = 0.9 * expected + 0.1 * value
    assert ema.shadow["weight"].item() == pytest.approx(expected)


def test_warmup_starts_with_short_averages() -> None:
    module = nn.Linear(1, 1, bias=False)
    ema = EMA(0.999)
    trainer = started(ema, module)
    nn.init.constant_(module.weight, 10.0)
    step(ema, trainer, module)
    first = ema.shadow["weight"].item()
    assert first > 8  # The decay was 1/10.
    for _ in range(50):
        step(ema, trainer, module)
    assert ema.shadow["weight"].item() == pytest.approx(10, abs=1e-2)


def test_batches_without_an_optimiser_step_do_not_count() -> None:
    module = nn.Linear(1, 1)
    ema = EMA(0.5)
    trainer = started(ema, module)
    ema.on_train_batch_end(trainer, module, None, None, 0)  # type: ignore[arg-type]
    assert ema.updates == 0


def test_small_updates_survive_half_precision_weights() -> None:
    module = nn.Linear(1, 1, bias=False).bfloat16()
    nn.init.constant_(module.weight, 1.0)
    ema = EMA(0.9999, warmup=False)
    trainer = started(ema, module)
    nn.init.constant_(module.weight, 1.125)
    for _ in range(10):
        step(ema, trainer, module)
    assert ema.shadow["weight"].dtype == torch.float32
    assert ema.shadow["weight"].item() == pytest.approx(1.125 - 0.125 * 0.9999**10, abs=1e-6)


def test_validation_sees_the_average_and_training_goes_on_with_the_live_weights() -> None:
    module: Any = nn.Linear(2, 2)
    module.frozen = nn.Linear(2, 2).requires_grad_(False)
    ema = EMA(0.5, warmup=False)
    trainer = started(ema, module)
    live = module.weight.detach().clone() + 1
    with torch.no_grad():
        module.weight += 1
    step(ema, trainer, module)
    assert set(ema.shadow) == {"weight", "bias"}
    ema.on_validation_start(trainer, module)
    torch.testing.assert_close(module.weight.detach(), live - 0.5)
    # A checkpoint written now still holds the live weights beside the average.
    checkpoint: dict[str, Any] = {"state_dict": dict(module.state_dict())}
    ema.on_save_checkpoint(trainer, module, checkpoint)
    torch.testing.assert_close(checkpoint["state_dict"]["weight"], live)
    torch.testing.assert_close(checkpoint["ema"]["shadow"]["weight"], live - 0.5)
    ema.on_validation_end(trainer, module)
    torch.testing.assert_close(module.weight.detach(), live)


def test_an_error_in_validation_puts_the_live_weights_back() -> None:
    module: Any = nn.Linear(1, 1)
    ema = EMA(0.5)
    trainer = started(ema, module)
    live = module.weight.detach().clone()
    ema.shadow["weight"] += 1
    ema.on_validation_start(trainer, module)
    ema.on_exception(trainer, module, RuntimeError())
    torch.testing.assert_close(module.weight.detach(), live)


@pytest.mark.parametrize("decay", [0, 1, 1.5])
def test_decay_out_of_range(decay: float) -> None:
    with pytest.raises(ValueError, match="ema_decay"):
        EMA(decay)
