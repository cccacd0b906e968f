"""Metrics files, and the other loggers where their packages are installed."""

from pathlib import Path

import pytest

from framework.testing.tiny import TinyConfig, TinyData, TinyDataConfig, TinySystem
from framework.trainers.config import LoggerConfig, TrainerConfig
from framework.trainers.loggers import CsvMetrics, curve_id, read_metrics
from framework.trainers.run_folder import RunFolder
from framework.trainers.trainer import build_trainer


def test_a_row_holds_all_metrics_of_a_step(tmp_path: Path) -> None:
    logger = CsvMetrics(tmp_path / "metrics.csv")
    logger.log_metrics({"train/loss": 1.0, "epoch": 0}, step=9)
    logger.log_metrics({"val/iou": 0.5}, step=9)
    logger.log_metrics({"train/loss": 0.5}, step=19)
    logger.finalize("success")
    columns, rows = read_metrics(tmp_path / "metrics.csv")
    rows = list(rows)
    assert columns == ["step", "train/loss", "val/iou"]
    assert rows == [
        {"step": "10", "train/loss": "1.0", "val/iou": "0.5"},
        {"step": "20", "train/loss": "0.5", "val/iou": ""},
    ]


def test_what_was_logged_is_in_the_file_at_once(tmp_path: Path) -> None:
    """The process may be killed before it says goodbye."""
    path = tmp_path / "metrics.csv"
    logger = CsvMetrics(path)
    texts = []
    for metrics, step in (({"a": 1.0}, 0), ({"b": 22.5}, 0), ({"a": 2.0}, 1), ({"b": 33.0}, 1), ({"a": 3.0}, 2)):
        logger.log_metrics(metrics, step=step)
        texts.append(path.read_text().splitlines())
    assert texts == [
        ["step,a", "1,1.0"],
        ["step,a,b", "1,1.0,22.5"],
        ["step,a,b", "1,1.0,22.5", "2,2.0,"],
        ["step,a,b", "1,1.0,22.5", "2,2.0,33.0"],
        ["step,a,b", "1,1.0,22.5", "2,2.0,33.0", "3,3.0,"],
    ]


def test_new_metrics_become_columns(tmp_path: Path) -> None:
    logger = CsvMetrics(tmp_path / "metrics.csv")
    for step, name in enumerate(("b", "a", "c")):
        logger.log_metrics({name: step}, step=step)
    logger.finalize("success")
    columns, rows = read_metrics(tmp_path / "metrics.csv")
    rows = list(rows)
    assert columns == ["step", "a", "b", "c"]
    assert [row["c"] for row in rows] == ["", "", "2"]


def test_rewinding_drops_later_rows_and_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,a,b\n1,1,1\n2,2,2\n3,3,3\n4")
    logger = CsvMetrics(path)
    logger.rewind(2)
    logger.log_metrics({"a": 9}, step=2)
    logger.finalize("success")
    assert path.read_text() == "step,a,b\n1,1,1\n2,2,2\n3,9,\n"


def test_curves_of_folders_with_one_name_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert curve_id(Path("outputs/method/20260101-000000-abcd")) == "20260101-000000-abcd"
    first, second = (curve_id(Path(sweep) / "001_seed=1") for sweep in ("one", "two"))
    assert first != second
    assert first.startswith("001_seed=1-")
    assert curve_id(tmp_path / "one" / "001_seed=1") == first


def fit(folder: Path, *kinds: str) -> None:
    system = TinySystem(TinyConfig())
    config = TrainerConfig(max_steps=4, val_interval=2, log_interval=1, keep_interval=2)
    logger = LoggerConfig(kinds=list(kinds), offline=True)  # type: ignore[arg-type]
    run = RunFolder(folder)
    trainer = build_trainer(config, logger, run, 0, system=system, device="cpu")
    checkpoint = run.last_checkpoint if run.last_checkpoint.is_file() else None
    trainer.fit(system, datamodule=TinyData(TinyDataConfig()), ckpt_path=checkpoint, weights_only=True)


def test_tensorboard_gets_metrics_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="extra 'log': tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(tmp_path, "csv", "tensorboard")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"train/loss", "val/loss"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["prediction"]
    assert (tmp_path / "metrics.csv").is_file()


def test_tensorboard_shows_no_step_twice_after_a_kill(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="extra 'log': tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fit(tmp_path, "tensorboard")
    (tmp_path / "checkpoints" / "step_000002.ckpt").replace(tmp_path / "checkpoints" / "last.ckpt")
    fit(tmp_path, "tensorboard")
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [0, 1, 2, 3]


@pytest.mark.slow
def test_wandb_works_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="extra 'log': wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    fit(tmp_path / "run1", "wandb")
    assert list((tmp_path / "run1" / "wandb").glob("offline-run-*/run-*.wandb"))
    assert not (tmp_path / "run1" / "metrics.csv").exists()
