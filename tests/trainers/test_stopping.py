"""Time limits as text, and signals."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from framework.config.build import from_dict
from framework.config.errors import ConfigError
from framework.trainers.config import TrainerConfig, parse_duration
from framework.trainers.stopping import StopOnSignal, TrainingInterrupted

MODULE: Any = None


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:00:05", 5), ("00:55:00", 3300), ("100:00:00", 360_000), ("1:02:03:04", 93_784)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["55", "1:30", "an hour", "00:00:-1", ""])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match=r"trainer\.max_time: is .*HH:MM:SS"):
        from_dict(TrainerConfig, {"max_time": text}, "trainer")


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_steps", 0), ("accumulate", 0), ("ema_decay", 1.0), ("gradient_clip", -1.0), ("val_interval", -1)],
)
def test_options_out_of_range_are_named(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{key}: is {value}, expected"):
        from_dict(TrainerConfig, {key: value}, "trainer")


def test_only_a_second_ctrl_c_ends_at_once() -> None:
    """Also after SIGTERM, of which a process may get two where a service is stopped."""
    saved: list[Any] = []
    guard = StopOnSignal(saved.append)
    trainer: Any = SimpleNamespace(
        global_step=5, strategy=SimpleNamespace(reduce_boolean_decision=lambda decision, all: decision)
    )
    before = signal.getsignal(signal.SIGTERM)
    with guard.listening():
        guard.on_train_start(trainer, MODULE)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(TrainingInterrupted, match="SIGTERM"):
            guard.on_train_batch_start(trainer, MODULE, None, 0)
    assert saved == [trainer]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_where_there_is_no_step_to_wait_for_a_signal_ends_at_once(number: signal.Signals) -> None:
    guard = StopOnSignal(lambda trainer: None)
    with guard.listening():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(signal.SIGTERM)
    assert guard.received == number
