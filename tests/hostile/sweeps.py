"""Hostile folders of sweeps, continued."""

from __future__ import annotations

import functools
import json
import math
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.sweeps.plan import PLAN_FILE, write_plan
from tests.hostile.files import Content, content_of, damaged_json, odd_places, put
from tests.hostile.pictures import png, zlib_bomb
from tests.hostile.sandbox import Hostile
from tests.sweeps.finished import finish, sweep_of

JOB, OTHER = "001_seed=1", "002_seed=2"
PICTURE = f"{JOB}/images/step_000010_shape & colour.png"


def sweeps() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    for name, content in (*damaged_json(), *odd_places(), *_plans()):
        # What is no file is no plan: the folder holds something else.
        yield case(f"plan-{name}", {PLAN_FILE: content}, says="sweep")
    for name, content in (*damaged_json(), *_manifests()):
        yield case(f"manifest-{name}", {f"{JOB}/manifest.json": content}, says="manifest.json")
    for name, content in (*damaged_json(), *_records()):
        yield case(f"best-{name}", {f"{JOB}/checkpoints/best.json": content}, says="best.json")
    for name, content in damaged_json():
        yield case(f"job-{name}", {f"{JOB}/job.json": content}, says="job.json", may_load=True)
    for name, content in _metrics():
        yield case(f"metrics-{name}", {f"{JOB}/metrics.csv": content}, says="metrics.csv")
    for name, content in (*_pictures(), ("pipe", os.mkfifo), ("device", lambda path: path.symlink_to("/dev/zero"))):
        yield case(f"picture-{name}", {PICTURE: content}, says="-", may_load=True)
    for name, content in _stranger_jobs():
        yield case(f"options-{name}", {PLAN_FILE: content, f"{JOB}/manifest.json": b"{}"}, says=JOB)
    yield case("folder-is-a-file", {JOB: b"nothing"}, says=JOB)


def case(name: str, changes: dict[str, Content], says: str, may_load: bool = False) -> Hostile:
    """The sweep with other content at the places in `changes`."""

    def write(folder: Path) -> None:
        kept = {place: data for place, data in whole_sweep().items() if place.partition("/")[0] not in changes}
        for place, content in (kept | changes).items():
            put(folder / "sweep" / place, content)

    words = ("train", "-m", "output=sweep")
    return Hostile(f"sweep-{name}", write, words, says=says, may_load=may_load, in_work=True)


@functools.cache
def whole_sweep() -> dict[str, bytes]:
    """The files of a sweep of two trainings that are through."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = sweep_of(Path(folder), [{"seed": "1"}, {"seed": "2"}])
        write_plan(sweep.plan, sweep.output)
        for number in (1, 2):
            log = finish(sweep, number, 0.5 / number).path / "metrics.csv"
            log.write_text("step,train/loss\n10,0.5\n")
        return content_of(Path(folder))


def _plan(**changes: Any) -> bytes:
    """The plan, with something else said of the first job."""
    plan = json.loads(whole_sweep()[PLAN_FILE])
    plan["jobs"][0] |= changes
    return json.dumps(plan).encode()


def _plans() -> Iterator[tuple[str, bytes]]:
    """Plans whose jobs lead elsewhere, or don't fit together."""
    for number, name in enumerate(
        ("../../owned", "/tmp/owned", "..", ".", "", ".owned", "a/b", "a\0b", OTHER, "a" * 500)
    ):
        yield f"name-{number}", _plan(name=name)
    for number, value in enumerate((0, -1, 2, 2**70, "1", None)):
        yield f"number-{number}", _plan(number=value)
    whole = json.loads(whole_sweep()[PLAN_FILE])
    yield "no-jobs", json.dumps(whole | {"jobs": []}).encode()
    yield "jobs-text", json.dumps(whole | {"jobs": "all"}).encode()
    yield "values-other", _plan(values={"owned": "1"})
    yield "values-numbers", _plan(values={"seed": 1})
    yield "options-list", _plan(options=[1])
    yield "more", _plan(command="touch owned")
    yield "verb-code", json.dumps(whole | {"verb": "os.system"}).encode()
    yield "words-list", json.dumps(whole | {"words": ["touch", "owned"]}).encode()


def _stranger_jobs() -> Iterator[tuple[str, bytes]]:
    """Plans of which a job has to run, with options that ask for code."""
    for name, options in (
        ("system-code", {"system": {"type": "os.system"}}),
        ("system-list", {"system": [1]}),
        ("target", {"system": {"_target_": "os.system", "command": "touch owned"}}),
        ("unknown", {"__class__": "os.system"}),
    ):
        yield name, _plan(options=options)


def _manifests() -> Iterator[tuple[str, bytes]]:
    entries: dict[str, dict[str, Any]] = {
        "status-list": {"status": ["finished"]},
        "legs-number": {"legs": 7},
        "legs-texts": {"legs": ["a"]},
        "seconds-text": {"legs": [{"seconds": "long"}]},
        "seconds-huge": {"legs": [{"seconds": 1e308}, {"seconds": 1e308}]},
        "seconds-nan": {"legs": [{"seconds": math.nan}]},
        "step-text": {"step": "ten"},
        "step-infinite": {"step": math.inf},
        "metrics-list": {"metrics": [1]},
        "metrics-page": {"metrics": {"val/loss": "</td><script>alert(1)</script>"}},
    }
    for name, changes in entries.items():
        yield name, json.dumps({"status": "finished"} | changes).encode()


def _records() -> Iterator[tuple[str, bytes]]:
    for name, value in (("text", "</td><script>"), ("list", [0.5]), ("truth", True)):
        yield f"value-{name}", json.dumps({"metric": "val/loss", "mode": "min", "value": value}).encode()


def _metrics() -> Iterator[tuple[str, bytes]]:
    yield "binary", bytes(range(256))
    yield "words", b"step,loss\nfew,1\n"
    yield "no-step", b"time,loss\n1,2\n"
    yield "long-number", b"step,loss\n" + b"9" * 6000 + b",1\n"
    yield "not-utf8", b"step,\xff\xfe\n1,2\n"


def _pictures() -> Iterator[tuple[str, bytes]]:
    yield "bomb", png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108))
    yield "script", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n(%pipe%touch owned) (w) file\n%%EOF\n"
    yield "cut", png(64, 64, data=b"\x78\x9c")
    yield "text", b"nothing"
