"""One training by one process, by two, in accumulated batches or with its weights in shards: the same numbers.

All have the same global batch. What is compared was added up in another order, so it agrees to float32's last digits.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from framework.cli import main
from framework.systems.system import System
from framework.trainers.checkpoint_content import checkpoint_weights, read_checkpoint
from framework.trainers.loggers import read_metrics
from framework.trainers.run_folder import RUN_ID_VARIABLE

REPOSITORY = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
STEPS = 6
SET = "root=../set train=8 val=5 test=1 samples=200 render_size=16 processes=0 surface_points=64 supervision_points=32"
TRAINER = f"max_steps={STEPS} val_interval=3 log_interval=1 checkpoint_interval=2 keep_interval=3 weights=last"
SHAPE_MODEL = "num_latents=8 embed_dim=4 width=32 heads=2 encoder_layers=2 decoder_layers=2"
DENOISER = "latents=8 latent_channels=4 width=32 layers=1 heads=2 context_dim=32"
DRAWS = "condition_dropout=0.3 random_views=true refit_views=0.5 recolor_views=0.2 jitter_views=0.03 token_dropout=0.2"


def options(prefix: str, text: str) -> list[str]:
    return [f"{prefix}.{word}" for word in text.split()]


AUTOENCODER = [
    *("system=craftsman/autoencoder", "data=procedural", "system.mean_share=0.5"),
    *options("data", f"{SET} validation_points=32"),
    *options("system.shape_model", SHAPE_MODEL),
]
DIFFUSION = [
    *("system=craftsman/diffusion", "data=craftsman/latents", "data.source.type=procedural"),
    *options("data.source", f"{SET} validation_points=32"),
    *options("data", "surface_points=64 supervision_points=32 autoencoder=../autoencoder/whole/weights"),
    *options("system.denoiser", DENOISER),
    *options("system.view_encoder", "image_size=16 patch_size=8 width=32 layers=1 heads=2"),
    *options("system", f"{DRAWS} normalize_latents=true occupancy_weight=1.0 validation_steps=2"),
    "system.autoencoder=../autoencoder/whole/weights",
]
LEARNING = [
    *("device=cpu", "system.optimizer.learning_rate=1e-3", f"system.optimizer.schedule.total_steps={STEPS}"),
    *options("trainer", f"{TRAINER} gradient_clip=0.05 ema_decay=0.9"),
]
WORDS = {"autoencoder": [*AUTOENCODER, *LEARNING], "diffusion": [*DIFFUSION, *LEARNING]}
TWO = ["trainer.devices=2", "data.batch_size=2"]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per system, with the training by one process as the run `whole`."""
    folder = tmp_path_factory.mktemp("processes")
    for name, words in WORDS.items():
        (folder / name).mkdir()
        with contextlib.chdir(folder / name):
            assert main(["train", *words, "data.batch_size=4", "output=whole"]) == 0
    return folder


@pytest.fixture(params=WORDS)
def system(request: pytest.FixtureRequest, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a system; the working directory is its folder."""
    return enter(request.param, workplace, monkeypatch)


def enter(name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(workplace / name)
    monkeypatch.delenv(RUN_ID_VARIABLE, raising=False)
    return name


def launch(*words: str, launcher: list[str] | None = None) -> str:
    """Run the program in a process of its own, which starts others, or which `launcher` starts; what it said."""
    process = subprocess.Popen(
        [*(launcher or [sys.executable]), str(REPOSITORY / "launch.py"), *words],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=280)
    finally:  # none of them outlives the test
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    return said


def assert_same_training(run: str) -> None:
    """Metrics of each step and validation, weights, averages and the optimiser's memory are those of `whole`."""
    runs = [Path(name) for name in ("whole", run)]
    (columns, rows), (other_columns, other_rows) = (
        (columns, list(rows)) for columns, rows in (read_metrics(path / "metrics.csv") for path in runs)
    )
    assert other_columns == columns
    assert len(rows) == STEPS
    numbers, others = ([[float(row[name] or -1) for name in columns] for row in table] for table in (rows, other_rows))
    torch.testing.assert_close(torch.tensor(others), torch.tensor(numbers), rtol=2e-5, atol=1e-6)
    one, two = (read_checkpoint(path / "checkpoints" / "last.ckpt") for path in runs)
    assert one["global_step"] == two["global_step"] == STEPS
    assert one["ema"]["updates"] == two["ema"]["updates"] == STEPS
    for averaged in (False, True):
        assert_close(checkpoint_weights(two, averaged=averaged), checkpoint_weights(one, averaged=averaged))
    moments, others_moments = (momentum(checkpoint) for checkpoint in (one, two))
    torch.testing.assert_close(others_moments, moments, rtol=1e-3, atol=1e-7)
    assert one["lr_schedulers"][0]["last_epoch"] == two["lr_schedulers"][0]["last_epoch"]


def assert_close(weights: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    torch.testing.assert_close(weights, expected, rtol=0, atol=2e-6)


def momentum(checkpoint: dict[str, Any]) -> list[Tensor]:
    return [state["exp_avg"] for state in checkpoint["optimizer_states"][0]["state"].values()]


def reference(step: int) -> dict[str, Tensor]:
    """The averaged weights of `whole` at a step."""
    return checkpoint_weights(read_checkpoint(Path("whole") / "checkpoints" / f"step_{step:06d}.ckpt"))


def test_the_tolerance_is_far_below_what_a_step_changes(system: str) -> None:
    before, after = reference(3), reference(STEPS)
    moved = [float((after[name] - before[name]).abs().max()) for name in after if after[name].is_floating_point()]
    assert sum(distance > 2e-4 for distance in moved) > 0.8 * len(moved)


def test_accumulated_batches_are_as_one_large_batch_also_when_continued(system: str) -> None:
    words = [*WORDS[system], "data.batch_size=2", "trainer.accumulate=2", "output=accumulated"]
    assert main(["train", *words, "trainer.max_steps=3"]) == 0
    assert main(["train", "run=accumulated", f"trainer.max_steps={STEPS}"]) == 0
    assert_same_training("accumulated")


def test_accumulation_may_begin_in_the_middle(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an odd number of batches."""
    enter("autoencoder", workplace, monkeypatch)
    words = ["train", *AUTOENCODER, *LEARNING, "data.batch_size=4", "output=changed"]
    assert main([*words, "trainer.max_steps=3"]) == 0
    less = ["data.batch_size=2", "trainer.accumulate=2"]
    assert main(["train", "run=changed", f"trainer.max_steps={STEPS}", *less]) == 0
    assert_same_training("changed")


@pytest.mark.slow
def test_two_processes_train_as_one(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter("autoencoder", workplace, monkeypatch)
    said = launch("train", *AUTOENCODER, *LEARNING, *TWO, "trainer.strategy=ddp", "output=ddp")
    assert said.count(f"finished at step {STEPS}") == 1
    assert_same_training("ddp")


@pytest.mark.slow
def test_two_processes_of_torchrun_train_as_one(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter("diffusion", workplace, monkeypatch)
    words = ["train", *DIFFUSION, *LEARNING, *TWO, "trainer.strategy=ddp", "output=torchrun"]
    assert launch(*words, launcher=TORCHRUN).count(f"finished at step {STEPS}") == 1
    assert_same_training("torchrun")


@pytest.mark.slow
def test_sharded_weights_train_as_whole_ones_and_are_saved_whole(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To step 3, and on: in shards again, and by one process, which takes the checkpoint as its own."""
    enter("autoencoder", workplace, monkeypatch)
    words = ["train", *AUTOENCODER, *LEARNING, *TWO, "trainer.strategy=fsdp", "output=fsdp"]
    launch(*words, "trainer.max_steps=3")
    shutil.copytree("fsdp", "alone")
    assert main(["export", "run=fsdp", "format=weights", "output=exported"]) == 0
    assert_close(load_file("exported/model.safetensors"), reference(3))
    assert_close(System.load("exported").own_state(), load_file("fsdp/weights/model.safetensors"))
    launch("train", "run=fsdp", f"trainer.max_steps={STEPS}")
    assert_same_training("fsdp")
    one = ["trainer.strategy=auto", "trainer.devices=1", "data.batch_size=4"]
    assert main(["train", "run=alone", f"trainer.max_steps={STEPS}", *one]) == 0
    assert_same_training("alone")


@pytest.mark.slow
def test_one_process_begins_and_shards_go_on(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter("diffusion", workplace, monkeypatch)
    words = ["train", *DIFFUSION, *LEARNING, "data.batch_size=4", "output=begun", "trainer.max_steps=3"]
    assert main(words) == 0
    launch("train", "run=begun", f"trainer.max_steps={STEPS}", *TWO, "trainer.strategy=fsdp", launcher=TORCHRUN)
    assert_same_training("begun")
