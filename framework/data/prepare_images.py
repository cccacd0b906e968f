"""`prepare data=image_lmdb`: a folder of pictures becomes an LMDB set of squares at several sizes.

    <output>/prepare.json        what the set is made with; a later run must ask for the same
    <output>/unfinished.mdb      the set while it is made, with the progress under a key of its own
    <output>/report.json         what became of every picture
    <output>/{val,test}.json     with write_lists=true
    <output>/data.mdb            the set, which gets this name when it is whole

Pictures are numbered in the order of their paths; one that can't be used takes no number. What is done is committed
together with the progress every second or so, and an interrupted run goes on behind it.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from framework.artifacts.atomic import TEMPORARY_PREFIX, one_at_a_time, remove_leftovers, write_json
from framework.artifacts.reading import parse_json, read_mapping
from framework.data.config import ImageLmdbConfig
from framework.data.image_set import HELD_BACK, LENGTH, SET_FILE, UNFINISHED_FILE, picture_key, split_of
from framework.data.lmdb_reading import opened_lmdb
from framework.data.lmdb_store import LmdbWriter, lmdb_writer, require_lmdb
from framework.data.preparation import Outcome, PrepareError, PrepareJob, Status, write_report
from framework.data.processes import shared_work
from framework.data.square_pictures import SUFFIXES, PictureTask, Squares, find_pictures, squares

RECIPE_FILE, REPORT_FILE, LOCK_FILE = "prepare.json", "report.json", "prepare.lock"
SCHEMA = 1
PROGRESS = b"progress"
"""Key of the progress in an unfinished set; no key of the layout."""

SECONDS, BYTES = 1.0, 2**26
"""What is done is committed after this time, or when it takes this much memory."""


def prepare_images(config: ImageLmdbConfig, job: PrepareJob) -> list[Outcome]:
    """Make the set that `job` asks for from the folder `job.source`, and return what became of every picture.

    PrepareError when nothing can be made, OSError when the disk refuses.
    """
    source = job.source
    if source is None:
        raise PrepareError("source is missing. Give it: source=<folder of pictures>")
    if not source.is_dir():
        raise PrepareError(f"source={source} is no folder. Give a folder of pictures")
    pictures = find_pictures(source)
    if not pictures:
        raise PrepareError(f"source={source} holds no picture. Looked for {' '.join(SUFFIXES)}, in folders too")
    require_lmdb(f"writing {job.output / SET_FILE}")
    _open_output(config, job.output)
    with one_at_a_time(job.output / LOCK_FILE):
        remove_leftovers(job.output)
        if not (job.output / SET_FILE).is_file():
            progress = _progress(job.output / UNFINISHED_FILE)
            if progress is not None:
                return _made(config, job, pictures, progress)
            os.replace(job.output / UNFINISHED_FILE, job.output / SET_FILE)
        return _finished(job, pictures)


def _open_output(config: ImageLmdbConfig, output: Path) -> None:
    """Make the folder, and refuse one that holds something else or a set of another recipe."""
    recipe = {"schema": SCHEMA, "sizes": list(config.sizes), "resample": config.resample}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrepareError(f"output={output} can't be made: {error.strerror}. Give another folder") from error
    path = output / RECIPE_FILE
    if not path.is_file():
        if any(not item.name.startswith(TEMPORARY_PREFIX) for item in output.iterdir()):
            raise PrepareError(f"output={output} holds files that prepare didn't write. Give a new or empty folder")
        write_json(path, recipe)
    try:
        before = read_mapping(path)
    except (OSError, ValueError) as error:
        raise PrepareError(f"{path} is damaged: {error}. Give another output folder") from error
    different = sorted(key for key in recipe.keys() | before.keys() if recipe.get(key) != before.get(key))
    if different:
        changes = ", ".join(f"{key} {before.get(key)} -> {recipe.get(key)}" for key in different)
        raise PrepareError(f"output={output} holds a set made with other options ({changes}). Give another folder")


def _made(
    config: ImageLmdbConfig, job: PrepareJob, pictures: Sequence[Path], progress: dict[str, Any]
) -> list[Outcome]:
    """Go on with the unfinished set, or begin one, until it is whole."""
    outcomes: list[Outcome] = []
    path = job.output / UNFINISHED_FILE
    with lmdb_writer(path) as writer:
        unfinished = UnfinishedSet(config, job, writer)
        done = unfinished.resume(progress, pictures, outcomes) if progress else 0
        tasks = [PictureTask(picture, config.sizes, config.resample) for picture in pictures[done:]]
        results = shared_work(squares, tasks, config.processes, _killed, ordered=True)
        for task, made in zip(tasks, results, strict=True):
            outcomes.append(unfinished.add(task.path, made))
            job.watch(outcomes[-1], len(outcomes), len(pictures))
        unfinished.commit()
        write_report(job.output / REPORT_FILE, outcomes, digest=unfinished.digest.hexdigest())
        if not unfinished.count:
            return outcomes
        if config.write_lists:
            _write_lists(job.output, outcomes)
        unfinished.finish()
    os.replace(path, job.output / SET_FILE)
    return outcomes


def _progress(path: Path) -> dict[str, Any] | None:
    """How far an interrupted run has come: {} where there was none, None if only the name is missing to a whole set.

    PrepareError when its file is damaged. All of its tree is read for that: LMDB's own library, which goes on with it,
    would end the process at a damaged page.
    """
    if not path.exists() or (path.is_file() and not path.stat().st_size):  # killed before LMDB had made its file
        return {}
    try:
        with opened_lmdb(path) as file:
            keys = set(file)
            progress = parse_json((file.get(PROGRESS) or b"{}").decode())
        if not keys:
            return {}  # killed before anything was done
        if LENGTH in keys and not progress:
            return None
        _check_progress(progress)
    except (OSError, ValueError) as error:
        raise PrepareError(f"{path} is damaged: {error}. Delete it: the preparation then begins again") from error
    return progress


def _check_progress(progress: Any) -> None:
    """ValueError unless this is what `UnfinishedSet.commit` writes."""
    found = progress if isinstance(progress, dict) else {}
    done, refused, enlarged = (found.get(key) for key in ("done", "refused", "enlarged"))
    kinds = isinstance(found.get("digest"), str) and isinstance(refused, dict) and isinstance(enlarged, list)
    reasons = refused.values() if isinstance(refused, dict) else ()
    numbers = [done, *enlarged] if isinstance(enlarged, list) else []
    if (
        not kinds
        or not all(isinstance(reason, str) for reason in reasons)
        or not all(isinstance(number, int) and number >= 0 for number in numbers)
    ):
        raise ValueError("its progress is not what prepare writes")


class UnfinishedSet:
    """A set that is being made: what is done, what of it is not committed yet, and who was refused."""

    def __init__(self, config: ImageLmdbConfig, job: PrepareJob, writer: LmdbWriter) -> None:
        self.config, self.job, self.writer = config, job, writer
        self.digest = hashlib.sha256()
        self.done = self.count = 0
        self._refused: dict[int, str] = {}
        self._enlarged: list[int] = []
        self._pending: list[tuple[bytes, bytes]] = []
        self._committed = time.monotonic()

    def resume(self, progress: dict[str, Any], pictures: Sequence[Path], outcomes: list[Outcome]) -> int:
        """Take over what an interrupted run has done, note it in `outcomes`, and return how many pictures that are.

        PrepareError when the pictures are not those that it began with.
        """
        enlarged = set(progress["enlarged"])
        for place, picture in enumerate(pictures[: progress["done"]]):
            reason = progress["refused"].get(str(place), "")
            outcomes.append(self._noted(picture, "kept", reason, place in enlarged))
        if (self.done, self.digest.hexdigest()) != (progress["done"], progress["digest"]):
            raise _changed(self.job)
        return self.done

    def add(self, picture: Path, made: Squares) -> Outcome:
        """Store the squares of the next picture, or why there are none."""
        keys = [picture_key(size, self.count) for size in self.config.sizes]
        self._pending += zip(keys, made.files, strict=False)  # no files for a refused picture
        outcome = self._noted(picture, "written", made.reason, made.enlarged)
        late = time.monotonic() - self._committed > SECONDS
        if late or sum(len(value) for _, value in self._pending) > BYTES:
            self.commit()
        return replace(outcome, seconds=made.seconds)

    def commit(self) -> None:
        """Write what is done, with the progress, in one transaction; OSError when the disk refuses."""
        facts = {"refused": self._refused, "enlarged": self._enlarged}
        progress = {"done": self.done, "digest": self.digest.hexdigest(), **facts}
        self.writer.put([*self._pending, (PROGRESS, json.dumps(progress).encode())])
        self._pending.clear()
        self._committed = time.monotonic()

    def finish(self) -> None:
        """Give the set the layout's last key, and nothing that is not of the layout."""
        self.writer.put([(LENGTH, str(self.count).encode())], remove=[PROGRESS])

    def _noted(self, picture: Path, status: Status, reason: str, enlarged: bool) -> Outcome:
        """Count a picture, and return what became of it."""
        name = picture.relative_to(str(self.job.source)).as_posix()
        if reason:
            self._refused[self.done] = reason
            outcome = Outcome(id=name, source=str(picture), status="failed", reason=reason)
        else:
            split = split_of(self.count, self.config.val_fraction, self.config.test_fraction)
            remarks = ("enlarged",) if enlarged else ()
            outcome = Outcome(id=f"{self.count:05d}", source=str(picture), status=status, split=split, remarks=remarks)
            self._enlarged += [self.done] if enlarged else []
            self.count += 1
        self.digest.update(_fact(picture, name))
        self.done += 1
        return outcome


def _finished(job: PrepareJob, pictures: Sequence[Path]) -> list[Outcome]:
    """What an earlier run made of the same pictures."""
    path = job.output / REPORT_FILE
    try:
        report = read_mapping(path)
        outcomes = [Outcome(**(outcome | {"remarks": tuple(outcome["remarks"])})) for outcome in report["objects"]]
        before = report["digest"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        remedy = f"The set itself is whole: train with data.root={job.output}, or give another output folder"
        raise PrepareError(f"{path} is missing or damaged ({type(error).__name__}: {error}). {remedy}") from error
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(_fact(picture, picture.relative_to(str(job.source)).as_posix()))
    if digest.hexdigest() != before:
        raise _changed(job)
    kept = [replace(outcome, status="kept" if outcome.status == "written" else outcome.status) for outcome in outcomes]
    for number, outcome in enumerate(kept):
        job.watch(outcome, number + 1, len(kept))
    return kept


def _write_lists(output: Path, outcomes: Iterable[Outcome]) -> None:
    """Write who is held back from training, in place of the rule."""
    for name in HELD_BACK:
        write_json(output / f"{name}.json", [int(outcome.id) for outcome in outcomes if outcome.split == name])


def _fact(picture: Path, name: str) -> bytes:
    """What a digest holds of a picture: enough to see that another one stands in its place."""
    return f"{name} {picture.stat().st_size}\n".encode(errors="surrogateescape")


def _changed(job: PrepareJob) -> PrepareError:
    return PrepareError(
        f"output={job.output} was begun with other pictures: some in source={job.source} were added, removed or "
        "changed since. Give another output folder, or delete this one to begin again"
    )


def _killed(task: PictureTask) -> Squares:
    return Squares((), reason="the process was killed while it worked on this picture, perhaps for lack of memory")
