"""Both trainings at toy size, from the command line: what they write, how they go on, what they refuse."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from framework.cli import main
from framework.systems.system import System
from framework.trainers.checkpoint_content import read_checkpoint
from framework.trainers.loggers import read_metrics
from framework.trainers.run_folder import RUN_ID_VARIABLE
from framework.weights.opening import open_weights
from tests.methods.stylesdf.tiny import FULL, VOLUME, write_faces

pytest.importorskip("lmdb", reason="extra 'data': lmdb")
REPOSITORY = Path(__file__).parents[3]
STEPS = 8
LOGGED = {
    "both": ("generator", "discriminator", "r1", "real_score", "fake_score"),
    "volume": ("beta", "sphere", "d_viewpoint", "g_viewpoint", "g_eikonal", "g_minimal_surface"),
    "full": ("path_length", "mean_path_length", "path_length_regularization"),
}
STAGES = {"volume": VOLUME, "full": [*FULL, "system.volume=volume"]}


def train(*words: str) -> int:
    """Exit code of a training."""
    return main(["train", *words])


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the set `faces.lmdb` and the finished runs `volume` and `full`."""
    folder = tmp_path_factory.mktemp("stylesdf")
    write_faces(folder)
    with contextlib.chdir(folder):
        for stage, words in STAGES.items():
            ends = f"trainer.max_steps={STEPS}", "trainer.val_interval=4", "trainer.keep_interval=4"
            assert train(*words, "data.root=faces.lmdb", f"output={stage}", *ends) == 0
    return folder


@pytest.fixture(autouse=True)
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.delenv(RUN_ID_VARIABLE, raising=False)


def metrics(run: str) -> dict[str, list[float]]:
    """Each metric's values, row by row; NaN where there is none."""
    columns, rows = read_metrics(Path(run) / "metrics.csv")
    table = list(rows)
    return {name: [float(row[name] or "nan") for row in table] for name in columns}


def state(run: str, name: str = "last.ckpt") -> dict[str, Tensor]:
    return read_checkpoint(Path(run) / "checkpoints" / name)["state_dict"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_training_logs_and_writes_what_it_did(stage: str) -> None:
    found = metrics(stage)
    assert found["step"] == list(range(1, STEPS + 1))  # one for each batch, whatever other optimisers do
    assert {f"train/{name}" for name in (*LOGGED["both"], *LOGGED[stage])} | {"val/fid", "val/kid"} <= found.keys()
    numbers = torch.tensor([value for values in found.values() for value in values if value == value])
    assert numbers.isfinite().all()
    saved = open_weights(Path(stage) / "weights", f"stylesdf/{stage}").tensors
    assert {key.partition(".")[0] for key in saved} == {"generator", "generator_average", "discriminator"}
    assert sorted(path.name for path in (Path(stage) / "images").iterdir())


def test_all_networks_move_and_the_average_lags_behind() -> None:
    before, after = state("volume", "step_000004.ckpt"), state("volume")
    for network in ("generator", "discriminator", "generator_average"):
        keys = [key for key in after if key.startswith(f"{network}.")]
        assert any(not torch.equal(before[key], after[key]) for key in keys), network
    key = "renderer.network.rgb_linear.weight"
    live, average = (after[f"{name}.{key}"] for name in ("generator", "generator_average"))
    assert not torch.equal(live, average)
    assert metrics("volume")["train/beta"][-1] != pytest.approx(0.1, abs=1e-7)


def test_the_second_stage_keeps_the_averaged_renderer() -> None:
    volume, full = state("volume"), state("full")
    for name, value in full.items():
        part, _, key = name.partition(".")
        if part != "discriminator" and key.startswith(("style.", "renderer.")):
            assert torch.equal(value, volume[f"generator_average.{key}"]), name


@pytest.mark.parametrize("stage", STAGES)
def test_a_continued_training_is_the_uninterrupted_one(stage: str) -> None:
    words = [*STAGES[stage], "data.root=faces.lmdb", f"output={stage}_parts", "trainer.val_interval=4"]
    assert train(*words, "trainer.max_steps=5") == 0
    assert train(f"run={stage}_parts", f"trainer.max_steps={STEPS}") == 0
    whole, parts = (read_checkpoint(Path(run) / "checkpoints/last.ckpt") for run in (stage, f"{stage}_parts"))
    for part in ("state_dict", "optimizer_states", "adversarial"):
        torch.testing.assert_close(parts[part], whole[part], rtol=0, atol=0)
    assert parts["global_step"] == whole["global_step"] == STEPS


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_train_what_one_does(stage: str) -> None:
    """Without path lengths, whose shrunken batch is another one when each process shrinks its own."""
    words = [*STAGES[stage], "data.root=faces.lmdb", f"trainer.max_steps={STEPS}"]
    words += ["system.sphere_init.batch=2", "system.chunk=2"] if stage == "volume" else ["system.loss.g_reg_every=0"]
    one = words if stage == "full" else [word for word in words if "sphere_init.batch" not in word]
    one += [] if stage == "full" else ["system.sphere_init.batch=4"]
    assert train(*one, f"output={stage}_one") == 0
    launch("train", *words, f"output={stage}_two", "trainer.devices=2", "data.batch_size=2")
    torch.testing.assert_close(state(f"{stage}_two"), state(f"{stage}_one"), rtol=0, atol=5e-5)


def launch(*words: str) -> None:
    """Run the program in a process of its own, which may start others."""
    finished = subprocess.run(
        [sys.executable, str(REPOSITORY / "launch.py"), *words],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["system.renderer.sdf=false", "system.renderer.raw_noise_std=0.5"],
        ["system.renderer.offset_sampling=false", "system.camera.uniform=true"],
        ["system.renderer.perturb=false", "system.loss.view_lambda=0", "system.loss.min_surf_lambda=0"],
        ["system.sphere_init.mode=load", "system.sphere_init.path=volume"],
        ["system.augment.target=0.6", "system.augment.images=100", "system.renderer.beta_min=0.01"],
        ["system.loss.accumulate=sum", "system.chunk=3"],
    ],
    ids=lambda words: words[0].removeprefix("system."),
)
def test_every_option_of_the_first_stage_trains(words: list[str], tmp_path: Path) -> None:
    short = ["data.root=faces.lmdb", f"output={tmp_path / 'run'}", "trainer.max_steps=3", "system.sphere_init.steps=1"]
    assert train(*VOLUME, *short, *words) == 0
    assert all(value.isfinite().all() for value in state(str(tmp_path / "run")).values())


def test_the_augmentation_follows_the_discriminator_and_is_continued(tmp_path: Path) -> None:
    words = ["system.augment.target=0.6", "system.augment.images=40", "data.root=faces.lmdb", "trainer.max_steps=6"]
    assert train(*VOLUME, *words, f"output={tmp_path / 'run'}", "system.sphere_init.mode=off") == 0
    strength = read_checkpoint(tmp_path / "run" / "checkpoints/last.ckpt")["adversarial"]["strength"]
    assert 0.0 <= strength <= 1.0
    assert any(name == "train/augmentation" for name in metrics(str(tmp_path / "run")))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*VOLUME, "trainer.accumulate=2"], "trainer.accumulate: is 2, but this system takes its steps itself"),
        ([*VOLUME, "trainer.gradient_clip=1"], "trainer.gradient_clip"),
        ([*VOLUME, "trainer.strategy=fsdp", "trainer.devices=2"], "trainer.strategy: fsdp does not go with second"),
        ([*VOLUME, "start_weights=volume"], "system.sphere_init.mode: is run, which would undo start_weights"),
        ([*VOLUME, "system.generator.style_dim=8"], "system.generator.style_dim: is 8, but renderer.width is 16"),
        (FULL, "system.volume: is missing"),
        ([*FULL, "system.volume=full"], "expected 'stylesdf/volume'"),
        ([*FULL, "system.volume=volume", "system.camera.fov=8"], "system.camera.fov: is 8.0, but volume was trained"),
        ([*FULL, "system.volume=nowhere"], "nowhere"),
    ],
)
def test_what_can_not_be_trained_is_said_before_the_first_step(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*words, "data.root=faces.lmdb", f"output={tmp_path / 'run'}", "trainer.max_steps=2") != 0
    shown = "".join(capsys.readouterr())
    assert said in " ".join(shown.split())
    assert "Traceback" not in shown


@pytest.mark.parametrize(("stage", "rate"), [("volume", "optim.g_lr"), ("volume", "optim.d_lr"), ("full", "optim.lr")])
def test_numbers_that_are_none_stop_the_training(
    stage: str, rate: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = [*STAGES[stage], "data.root=faces.lmdb", f"output={run}"]
    assert train(*words, "trainer.max_steps=4") == 0
    kept = state(str(run))
    assert train(f"run={run}", "trainer.max_steps=400", f"system.{rate}=1e30") != 0
    assert "diverged" in "".join(capsys.readouterr())
    assert all(value.isfinite().all() for value in state(str(run)).values())
    assert kept.keys() == state(str(run)).keys()


@pytest.mark.parametrize("stage", STAGES)
def test_saved_weights_are_loaded_by_themselves(stage: str) -> None:
    system = System.load(stage)
    assert system.registry_name == f"stylesdf/{stage}"
    torch.testing.assert_close(dict(system.own_state()), dict(state(stage)), rtol=0, atol=0)
