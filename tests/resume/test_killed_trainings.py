"""Trainings that are killed again and again end with the files of one that was not."""

from __future__ import annotations

import functools
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from framework.testing.contract.training import differences
from framework.trainers.checkpoint_content import read_checkpoint
from framework.trainers.checkpoints import BEST, LAST
from tests.data.balls import write_balls
from tests.resume.files import check_whole, leftovers
from tests.resume.processes import Killer, Running

SIZES = "num_latents=8 embed_dim=4 width=32 heads=2 encoder_layers=1 decoder_layers=1 num_freqs=4"
STEPS = 24
TRAIN = [
    *("train", "system=craftsman/autoencoder", "data=shapes", "device=cpu", "seed=3", "output=run"),
    *(f"system.shape_model.{size}" for size in SIZES.split()),
    *("data.batch_size=2", "data.surface_points=64", "data.supervision_points=64", "data.validation_points=64"),
    *("trainer.val_interval=7", "trainer.checkpoint_interval=3", "trainer.log_interval=2", "trainer.ema_decay=0.9"),
    *(f"trainer.max_steps={STEPS}", "trainer.image_interval=2", "trainer.keep_interval=12"),
]
"""Every moment has its place: steps, checkpoints, validations with pictures, rows of metrics, the end."""
DDP = ["trainer.devices=2", "trainer.strategy=ddp"]


@pytest.fixture(scope="module")
def balls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_balls(tmp_path_factory.mktemp("balls"), train=10, val=4)


class Place:
    """A folder with a training in it, of so many loader processes and ranks."""

    def __init__(self, folder: Path, balls: Path, workers: int, ranks: int) -> None:
        folder.mkdir()
        self.folder, self.ranks = folder, ranks
        self.words = [*TRAIN, f"data.root={balls}", f"data.workers={workers}", *(DDP if ranks > 1 else [])]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def start(self, cold: bool = False) -> Running:
        """Begin the training, or let it go on."""
        begun = (self.run / "config.yaml").is_file()
        words = ["train", "run=run"] if begun else self.words
        return Running(words, self.folder, ranks=self.ranks, cold=cold)

    def finished(self, cold: bool = False) -> float:
        """Train without a kill; returns the seconds."""
        running = self.start(cold)
        codes = running.wait()
        assert set(codes) == {0}, running.text()
        return running.seconds

    def check(self) -> None:
        """Read all files that have their final name."""
        check_whole(self.run)

    def manifest(self) -> dict[str, Any]:
        return json.loads((self.run / "manifest.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, balls: Path) -> Callable[[int], Path]:
    """Number of ranks -> a training of theirs that was not disturbed, made once."""

    @functools.cache
    def run(ranks: int) -> Path:
        place = Place(tmp_path_factory.mktemp("whole") / str(ranks), balls, 0, ranks)
        place.finished()
        return place.run

    return run


def different(whole: Path, other: Path) -> Iterator[str]:
    """Yield what two run folders differ in, beside times."""
    for name in (LAST, BEST, "step_000012.ckpt"):
        one, two = (read_checkpoint(folder / "checkpoints" / name) for folder in (whole, other))
        # How often a validation ran in this process is counted there, and nothing follows from it.
        yield from (place for place in differences(one, two, name) if ".val_loop." not in place)
    for name in ("metrics.csv", "checkpoints/best.json", "weights/model.safetensors"):
        if (whole / name).read_bytes() != (other / name).read_bytes():
            yield name
    pictures = [{path.name: path.read_bytes() for path in (run / "images").iterdir()} for run in (whole, other)]
    if pictures[0] != pictures[1]:
        yield f"pictures: {sorted(pictures[1])}"
    results = [json.loads((run / "manifest.json").read_text())["results"] for run in (whole, other)]
    yield from differences(*results, "results")
    yield from leftovers(other)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("workers", "ranks", "kills", "cold_share"), [(0, 1, 8, 0.3), (2, 1, 4, 0.0), (0, 2, 4, 0.25), (2, 2, 4, 0.0)]
)
def test_a_training_that_is_killed_ends_as_one_that_is_not(
    tmp_path: Path,
    balls: Path,
    whole: Callable[[int], Path],
    workers: int,
    ranks: int,
    kills: int,
    cold_share: float,
) -> None:
    lives = []
    for cold in (False, True) if cold_share else (False,):
        timed = Place(tmp_path / f"cold{cold:d}", balls, workers, ranks)
        lives.append(timed.finished(cold))
        assert not list(different(whole(ranks), timed.run)), "loader processes, or who starts it, make a difference"
    killer, rounds = Killer(kills, lives), 0
    while killer.left:
        rounds += 1
        place = Place(tmp_path / f"round{rounds}", balls, workers, ranks)
        killer.until_finished(place.start, place.check, ranks=ranks, cold_share=cold_share)
        place.check()
        found = list(different(whole(ranks), place.run))
        assert not found, f"{killer}: {found[:6]}, {len(found)} in all"
        assert place.manifest()["status"] == "finished"
    print(f"{rounds} rounds, {killer}")  # noqa: T201


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("number", "workers", "ranks", "to_all"),
    [
        (signal.SIGTERM, 0, 1, False),
        (signal.SIGTERM, 2, 1, True),
        (signal.SIGINT, 2, 1, True),
        (signal.SIGTERM, 2, 2, False),
        (signal.SIGTERM, 2, 2, True),
    ],
)
def test_a_signal_saves_and_ends(
    tmp_path: Path,
    balls: Path,
    whole: Callable[[int], Path],
    number: signal.Signals,
    workers: int,
    ranks: int,
    to_all: bool,
) -> None:
    """Sent to the first process alone, or to all of them and to their loaders, as terminals and service managers do."""
    place = Place(tmp_path / "asked", balls, workers, ranks)
    running = place.start()
    while running.alive() and not (place.run / "metrics.csv").is_file():
        time.sleep(0.005)
    running.signal(number, None if to_all else 0)
    codes = running.wait()
    assert codes == [128 + number, *[0] * (ranks - 1)], running.text()
    manifest = place.manifest()
    assert (manifest["status"], manifest["reason"]) == ("interrupted", f"interrupted by {number.name}")
    assert read_checkpoint(place.run / "checkpoints" / LAST)["global_step"] == manifest["step"] < STEPS
    assert f"interrupted at step {manifest['step']} of {STEPS}" in running.text()
    assert "Traceback" not in running.text()
    place.finished()
    assert not list(different(whole(ranks), place.run))[:6]
