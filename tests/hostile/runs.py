"""Hostile run folders: trainings that are continued or measured, predictions that are run again."""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image as PilImage
from PIL import ImageDraw

from framework.cli import main
from framework.cli.arguments import parse
from framework.cli.options import build
from framework.config.build import to_dict
from framework.tasks.config import InputOptions, PredictOptions
from framework.tasks.predict import run as predict
from framework.testing.tiny import register_tiny
from framework.testing.tiny_pipeline import register_tiny_stages, tiny_method
from tests.hostile.files import Content, Payload, content_of, cuts, damaged_json, put
from tests.hostile.meshes import BOX
from tests.hostile.pictures import png, zlib_bomb
from tests.hostile.sandbox import Hostile
from tests.hostile.weights import texts

TRAIN = ("train", "run=run", "trainer.max_steps=4")
VALIDATE = ("validate", "run=run")


def runs() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    register_tiny()
    register_tiny_stages()
    for name, content in (*texts(), *_options()):
        yield training(f"options-{name}", "config.yaml", content, TRAIN)
    for name, content in (*damaged_json(), ("legs", b'{"legs": 5}'), ("pipe", os.mkfifo)):
        yield training(f"manifest-{name}", "manifest.json", content, TRAIN, may_load=name == "pipe")
    for name, content in damaged_json():
        yield training(f"best-{name}", "checkpoints/best.json", content, VALIDATE)
    for name, content in _metrics():
        yield training(f"metrics-{name}", "metrics.csv", content, TRAIN)
    for name, content in (*cuts(whole_training()["checkpoints/last.ckpt"]), *_checkpoints()):
        yield training(f"checkpoint-{name}", "checkpoints/last.ckpt", content, TRAIN)
    for name, content in (*damaged_json(), *_records()):
        words = ("predict", "run=run", "stages=paint..")
        yield prediction(f"record-{name}", "case/case.json", content, words, may_load=True)
    for name, content in _pictures():
        yield prediction(
            f"foreground-{name}", "case/foreground.png", content, ("predict", "run=run", "stages=extrude..")
        )
    for name, content in cuts(BOX.export(file_type="glb")):
        yield prediction(f"mesh-{name}", "case/slab.glb", content, ("predict", "run=run", "stages=paint.."))
    for name, content in (*damaged_json(), *_cameras()):
        yield views(f"cameras-{name}", content)


def _case(name: str, files: dict[str, bytes], place: str, content: Content, **more: Any) -> Hostile:
    def write(folder: Path) -> None:
        changed: dict[str, Content] = {**files, place: content}
        for file, data in changed.items():
            put(folder / "run" / file, data)

    return Hostile(f"run-{name}", write, **{"says": Path(place).name} | more, in_work=True)


def training(name: str, place: str, content: Content, words: tuple[str, ...], may_load: bool = False) -> Hostile:
    return _case(name, whole_training(), place, content, words=words, may_load=may_load)


def prediction(name: str, place: str, content: Content, words: tuple[str, ...], may_load: bool = False) -> Hostile:
    return _case(name, whole_prediction(), place, content, words=words, may_load=may_load)


def views(name: str, content: Content) -> Hostile:
    """A prediction of another method, run again from the stage that reads views."""
    options = to_dict(build(parse(["predict", "method=craftsman/small", "input=absent.png", "device=cpu"])))
    files = {
        "config.yaml": yaml.safe_dump(options).encode(),
        "case/case.json": whole_prediction()["case/case.json"],
        "case/views/front.png": png(96, 96, colour=6, data=zlib.compress(bytes((96 * 4 + 1) * 96))),
    }
    words = ("predict", "run=run", "stages=shape..", "turntable=false")
    return _case(name, files, "case/views/cameras.json", content, words=words, says="views")


@functools.cache
def whole_training() -> dict[str, bytes]:
    """The files of a training of two steps that is fine."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        words = ["system.type=testing/tiny", "data.type=testing/tiny", "device=cpu", "trainer.val_interval=1"]
        assert main(["train", *words, "trainer.max_steps=2", f"output={folder}/run"]) == 0
        return content_of(Path(folder) / "run")


@functools.cache
def whole_prediction() -> dict[str, bytes]:
    """The files of a prediction that is fine."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        picture = PilImage.new("RGB", (60, 60), (255, 255, 255))
        ImageDraw.Draw(picture).rectangle((10, 10, 40, 50), fill=(200, 40, 30))
        picture.save(f"{folder}/case.png")
        options = PredictOptions(
            method=tiny_method(),
            input=InputOptions(path=f"{folder}/case.png"),
            output=f"{folder}/run",
            device="cpu",
            turntable=False,
        )
        assert predict(options) == 0
        return content_of(Path(folder) / "run")


def _options() -> Iterator[tuple[str, bytes]]:
    """Options of a training that ask for code, or for nothing."""
    whole = yaml.safe_load(whole_training()["config.yaml"])
    for name, section, value in (
        ("code", "system", {"type": "os.system", "command": "touch owned"}),
        ("target", "system", {"_target_": "os.system", "command": "touch owned"}),
        ("path", "data", {"type": "../../owned"}),
        ("interpolation", "data", "${oc.env:HOME}"),
        ("deep-interpolation", "seed", "${seed}"),
        ("date", "seed", __import__("datetime").date(2026, 1, 1)),
        ("infinite", "seed", float("inf")),
        ("time", "trainer", {"max_time": "soon"}),
        ("seed-huge", "seed", 2**200),
    ):
        yield f"value-{name}", yaml.safe_dump(whole | {section: value}).encode()
    yield "nothing", b"{}"


def _metrics() -> Iterator[tuple[str, bytes]]:
    yield "other-columns", b"time,loss\n1,2\n3,4\n"
    yield "words", b"step,loss\none,two\n"
    yield "zero-bytes", b"step,loss\n1,\0\n\0,2\n" + bytes(100)
    yield "long-cell", b"step,loss\n1," + b"9" * 200_000 + b"\n"
    yield "quotes", b'step,loss\n1,"' + b"\n" * 200_000
    yield "binary", bytes(range(256))


def _checkpoints() -> Iterator[tuple[str, bytes]]:
    """Checkpoints of other things, or with code in them."""
    whole = torch.load(io.BytesIO(whole_training()["checkpoints/last.ckpt"]), weights_only=True)

    def saved(content: Any) -> bytes:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        return buffer.getvalue()

    yield "code", saved(whole | {"callbacks": Payload(os.system, "touch owned")})
    yield "list", saved([1])
    yield "empty", saved({})
    yield "other-weights", saved(whole | {"state_dict": {"a": torch.ones(1)}})
    huge = {name: torch.ones(1).expand(2**20, 2**20) for name in whole["state_dict"]}
    yield "repeated", saved(whole | {"state_dict": huge})
    yield "loops-missing", saved({key: value for key, value in whole.items() if key != "loops"})
    yield "loops-list", saved(whole | {"loops": [1]})
    yield "step-text", saved(whole | {"global_step": "two"})
    yield "optimizer-list", saved(whole | {"optimizer_states": [1]})
    yield "optimizer-missing", saved(whole | {"optimizer_states": []})
    yield "loops-strange", saved(whole | {"loops": {"fit_loop": {"state_dict": 1, "epoch_progress": "a"}}})
    yield "callbacks-strange", saved(whole | {"callbacks": [1]})
    yield "schedules-strange", saved(whole | {"lr_schedulers": [1]})
    yield "version-strange", saved(whole | {"pytorch-lightning_version": "nine"})
    for name, change in (
        ("shape", {"exp_avg": torch.ones(3, 5, 7)}),
        ("huge", {"exp_avg": torch.ones(1).expand(2**20, 2**20)}),
        ("text", {"exp_avg": "a"}),
        ("step", {"step": torch.ones(1).to_sparse()}),
    ):
        state = copy.deepcopy(whole["optimizer_states"])
        next(iter(state[0]["state"].values())).update(change)
        yield f"optimizer-{name}", saved(whole | {"optimizer_states": state})
    groups = [state | {"param_groups": []} for state in whole["optimizer_states"]]
    yield "optimizer-groups", saved(whole | {"optimizer_states": groups})
    yield "averages-list", saved(whole | {"ema": [1]})
    yield "averages-huge", saved(whole | {"ema": {"updates": 1, "shadow": huge}})
    yield "text", b"nothing"
    yield "nothing", b""


def _records() -> Iterator[tuple[str, bytes]]:
    whole = json.loads(whole_prediction()["case/case.json"])
    changes: dict[str, Any] = {
        "files-upward": {"files": ["../../../../secret/secret.txt", "/etc/hostname", ".."]},
        "files-number": {"files": 7},
        "stages-text": {"stages": "paint"},
        "status": {"status": "owned"},
        "seed-text": {"seed": "a"},
        "seed-huge": {"seed": 2**200},
        "case-path": {"case": "../../owned"},
        "more": {"owned": 1},
        "failure-list": {"failure": [1]},
    }
    for name, change in changes.items():
        yield name, json.dumps(whole | change).encode()
    stages = [stage | {"writes": {"mesh": "../../../../secret/secret.txt"}} for stage in whole["stages"]]
    yield "writes-upward", json.dumps(whole | {"stages": stages}).encode()


def _pictures() -> Iterator[tuple[str, Content]]:
    yield "bomb", png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108))
    yield "large", png(7_900, 8_000, depth=8, colour=0, data=zlib_bomb(61))
    yield "text", b"nothing"
    yield "cut", whole_prediction()["case/foreground.png"][:100]
    yield "script", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n(%pipe%touch owned) (w) file\n%%EOF\n"


def _cameras() -> Iterator[tuple[str, Content]]:
    pose = torch.eye(4).tolist()
    entries = {
        "upward": {"views": ["../../../../secret/secret"]},
        "absolute": {"views": ["/etc/hostname"]},
        "numbers": {"views": [1, 2]},
        "absent": {"views": ["front", "back"]},
        "nan": {"views": ["front"], "world_from_camera": [[[float("nan")] * 4] * 4], "clip_from_camera": [pose]},
        "ragged": {"views": ["front"], "world_from_camera": [[1], [2, 3]], "clip_from_camera": [pose]},
        "other-count": {"views": ["front"], "world_from_camera": [pose] * 9, "clip_from_camera": [pose] * 9},
        "words": {"views": ["front"], "world_from_camera": "eye", "clip_from_camera": "eye"},
    }
    for name, content in entries.items():
        yield name, json.dumps(content).encode()
