"""The same few hostile files through every other command that reads such a file."""

from __future__ import annotations

import io
import json
import os
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from PIL import Image as PilImage
from PIL import ImageDraw

from framework.optional import has
from framework.testing.tiny import register_tiny
from framework.testing.tiny_pipeline import register_tiny_stages
from tests.hostile.files import Content, Payload, put
from tests.hostile.gltf import glb, tree
from tests.hostile.pictures import png, zlib_bomb
from tests.hostile.runs import whole_prediction, whole_training
from tests.hostile.safetensors_files import packed, tensor
from tests.hostile.sandbox import Hostile
from tests.hostile.shape_sets import POINTS, npy, npz, whole_lmdb, whole_set
from tests.hostile.weights import whole_weights

Files = Mapping[str, Content]
TRAIN = ("train", "system=craftsman/autoencoder", "data=shapes", "device=cpu", "output=out", "trainer.max_steps=1")
PREDICT = ("predict", "method=craftsman/small", "device=cpu", "turntable=false", "output=out")
SMALL = tuple(
    f"system.shape_model.{option}"
    for option in ("num_latents=8", "embed_dim=4", "width=32", "heads=2", "encoder_layers=1", "decoder_layers=1")
)
NARROW = (
    *("system=craftsman/diffusion", "data.views=4", "system.view_encoder.width=32", "system.view_encoder.heads=2"),
    *("system.view_encoder.layers=1", "system.view_encoder.image_size=16", "system.view_encoder.patch_size=8"),
    *("system.denoiser.width=32", "system.denoiser.heads=2", "system.denoiser.layers=1"),
    *("system.denoiser.context_dim=32", "system.denoiser.latents=8", "system.denoiser.latent_channels=4"),
)
POINTS_WANTED = ("data.surface_points=32", "data.supervision_points=32", "data.validation_points=32")


def routes() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    register_tiny()
    register_tiny_stages()
    for name, files in _weights():
        own = "{folder}/own"
        yield _case(f"start-{name}", files, (*TRAIN, *SMALL, "data.root=absent", f"start_weights={own}"), says="own")
        words = (*PREDICT, f"weights.autoencoder={own}", "input={folder}/fine.png")
        yield _case(f"predict-{name}", {**files, "fine.png": _fine()}, words, says="own")
        words = (*TRAIN, *NARROW, *POINTS_WANTED, "data.root={folder}/set", f"system.autoencoder={own}")
        yield _case(f"part-{name}", {**files, **_below("set", whole_set())}, words, says="own")
        yield _case(f"test-{name}", files, ("test", f"weights={own}", "data=shapes", "data.root=absent"), says="own")
    for name, files in _sets():
        for workers in (0, 2):
            words = (*TRAIN, *SMALL, *POINTS_WANTED, "data.root={folder}/set", f"data.workers={workers}")
            says = "data.lmdb" if name == "lmdb" else "points.npz"
            yield _case(f"train-{name}-{workers}", _below("set", files), words, says)
    for name, content in _pictures():
        words = (*PREDICT, "stages=..matting")
        many = {"many/trap.png": content, "many/fine.png": _fine()}
        yield _case(f"folder-{name}", many, (*words, "input={folder}/many"), says="trap")
        sides = {"trap.png": content, "fine.png": _fine()}
        one = (*words, "input={folder}/fine.png", "input.left={folder}/trap.png")
        yield _case(f"side-{name}", sides, one, says="trap.png")
    for name, content in _meshes():
        files = _below("run", whole_prediction()) | {"run/case/slab.glb": content}
        yield _case(
            f"export-{name}", files, ("export", "run={folder}/run", "format=obj", "output=out"), says="slab.glb"
        )
    for name, content in _checkpoints():
        files = _below("run", whole_training()) | {f"run/checkpoints/{kind}.ckpt": content for kind in ("best", "last")}
        for verb in ("export", "test"):
            more = ("format=weights", "output=out") if verb == "export" else ("output=out",)
            yield _case(f"{verb}-{name}", files, (verb, "run={folder}/run", *more), says="best.ckpt")


def _case(name: str, files: Files, words: tuple[str, ...], says: str) -> Hostile:
    def write(folder: Path) -> None:
        for place, content in files.items():
            put(folder / place, content)

    return Hostile(f"route-{name}", write, words, says=says)


def _below(folder: str, files: Files) -> dict[str, Content]:
    return {f"{folder}/{place}": content for place, content in files.items()}


def _fine() -> bytes:
    """A picture with which nothing is wrong."""
    picture = PilImage.new("RGB", (60, 60), (255, 255, 255))
    ImageDraw.Draw(picture).rectangle((10, 10, 40, 50), fill=(200, 40, 30))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _torch(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _weights() -> Iterator[tuple[str, dict[str, Content]]]:
    whole = whole_weights()
    yield "cut", {"own/config.json": whole["config.json"], "own/model.safetensors": whole["model.safetensors"][:999]}
    huge = packed({"a": tensor([2**40], 0, 2**42)})
    yield "huge", {"own/config.json": whole["config.json"], "own/model.safetensors": huge}
    yield "nested", {"own/config.json": b"[" * 100_000, "own/model.safetensors": whole["model.safetensors"]}
    yield "code", {"own/model.ckpt": _torch({"state_dict": {"a": torch.ones(2)}, "callbacks": Payload()})}
    yield (
        "system",
        {
            "own/config.json": json.dumps(json.loads(whole["config.json"]) | {"system": "../../owned"}).encode(),
            "own/model.safetensors": whole["model.safetensors"],
        },
    )


def _sets() -> Iterator[tuple[str, dict[str, Content]]]:
    whole: dict[str, Content] = dict(whole_set())
    yield "cut", whole | {POINTS: whole_set()[POINTS][:100]}
    yield "huge", whole | {POINTS: npz(points=npy((2**40, 3)), occupancies=npy((2,), "|u1", bytes(2)))}
    yield "code", whole | {POINTS: pickle.dumps(Payload())}
    lists = {place: content for place, content in whole.items() if place.endswith(".json")}
    if has("lmdb"):
        yield "lmdb", lists | {"data.lmdb": whole_lmdb()[: len(whole_lmdb()) // 2]}


def _pictures() -> Iterator[tuple[str, Content]]:
    yield "bomb", png(30_000, 30_000, depth=1, colour=0, data=zlib_bomb(108))
    yield "text", b"nothing"
    yield "pipe", os.mkfifo
    yield "device", lambda path: path.symlink_to("/dev/zero")


def _meshes() -> Iterator[tuple[str, bytes]]:
    yield "cut", whole_prediction()["case/slab.glb"][:200]
    yield "nested", glb(b"[" * 100_000 + b"]" * 100_000)
    changed = tree()
    changed["accessors"][0]["count"] = 2**40
    yield "huge", glb(changed)
    yield "upward", glb(tree() | {"buffers": [{"byteLength": 96, "uri": "../../../../secret/secret.txt"}]})


def _checkpoints() -> Iterator[tuple[str, bytes]]:
    whole = torch.load(io.BytesIO(whole_training()["checkpoints/last.ckpt"]), weights_only=True)
    yield "cut-checkpoint", whole_training()["checkpoints/last.ckpt"][:900]
    yield "code-checkpoint", _torch(whole | {"callbacks": Payload()})
    yield "other-checkpoint", _torch(whole | {"state_dict": {"a": torch.ones(1)}})
    averages = {"ema": {"shadow": {"a": torch.ones(1).expand(2**20, 2**20)}}}
    yield "large-averages", _torch(whole | averages)
    yield "averages-list", _torch(whole | {"ema": [1]})
