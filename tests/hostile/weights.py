"""Hostile weights: official files given to `export`, folders given to `validate`."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from framework.config.build import to_dict
from methods.craftsman.systems import AutoencoderSystem
from tests.hostile.files import Content, Payload, cuts, damaged, odd_places, put, zeros_bomb
from tests.hostile.safetensors_files import broken_safetensors
from tests.hostile.sandbox import Hostile
from tests.methods.craftsman.official_files import CLIP_CONFIG, TINY_CONFIG, tiny_state, write_folder
from tests.methods.craftsman.tiny import autoencoder_config
from tests.methods.stylesdf.official_files import tiny_content


def weights() -> Iterator[Hostile]:
    """All of them, the same ones each time."""
    random = np.random.default_rng(4)
    whole = _torch({"state_dict": {"a.weight": torch.ones(40, 40)}})
    for name, content in (*cuts(whole), *damaged(whole, random, 8), *_pickles(), *_archives()):
        yield official_case(f"pickle-{name}", "trap.ckpt", content)
    for name, content in broken_safetensors():
        yield official_case(f"safetensors-{name}", "trap.safetensors", content)
    for name, write in odd_places():
        yield official_case(f"file-{name}", "trap.ckpt", write)
        yield official_case(f"file-in-folder-{name}", "folder/model.ckpt", write, source="folder")
    for name, content in (*texts(), *odd_places()):
        if name not in ("empty", "folder", "circle", "nowhere", "pipe", "device"):  # as if there were none
            yield _companion(f"config-{name}", "config.yaml", content)
    for name, content in _cliptexts():
        yield _companion(f"clip-{name}", "clip_config.json", content)
    for name, content in _files_of_parts():
        yield official_case(f"parts-{name}", "trap.pt", content)
    for name, content in (*cuts(whole), ("pipe-of-text", b"<!doctype html>")):  # said to be as published
        yield official_case(f"published-{name}", "ffhq1024x1024.pt", content)
    for name, changes in _folders():
        yield folder_case(name, changes)


def official_case(name: str, file: str, content: Content, source: str | None = None) -> Hostile:
    def write(folder: Path) -> None:
        put(folder / file, content)

    words = ("export", f"weights={{folder}}/{source or file}", "output=out")
    return Hostile(f"weights-{name}", write, words, says=source or Path(file).name)


def _companion(name: str, file: str, content: Content) -> Hostile:
    """A checkpoint that is fine, with a bad text beside it."""

    def write(folder: Path) -> None:
        write_folder(folder / "official", tiny_state())
        (folder / "official" / file).unlink()
        put(folder / "official" / file, content)

    return Hostile(f"weights-{name}", write, ("export", "weights={folder}/official", "output=out"), says="official")


def _torch(content: Any, zipped: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def _pickles() -> Iterator[tuple[str, bytes]]:
    """Checkpoints that call something, or hold what no network has."""
    import builtins
    import subprocess

    calls = {
        "system": (os.system, "touch owned"),
        "popen": (subprocess.check_output, ["touch", "owned"]),
        "eval": (builtins.eval, "open('owned', 'w')"),
        "exec": (builtins.exec, "open('owned', 'w')"),
        "getattr": (builtins.getattr, "a", "upper"),
        "open": (io.open, "owned", "w"),
        "import": (__import__, "antigravity"),
        "load": (torch.load, "other.ckpt"),
        "frombuffer": (np.frombuffer, b"12345678"),
        "partial": (functools.partial, os.system, "touch owned"),
        "bytes": (bytes, 2**40),
    }
    for name, call in calls.items():
        for zipped in (True, False):
            content = {"state_dict": {"a.weight": torch.ones(2)}, "callbacks": Payload(*call)}
            yield f"{name}{'' if zipped else '-unzipped'}", _torch(content, zipped)
    yield "bare", pickle.dumps(Payload(os.system, "touch owned"))
    yield "old-protocol", b"cos\nsystem\n(S'touch owned'\ntR."
    one = torch.ones(1)
    held: dict[str, Any] = {
        "repeated": {"a": one.expand(2**20, 2**20)},
        "repeated-many": {f"a{number}": torch.ones(64).expand(10, 64) for number in range(2000)},
        "sparse": {"a": torch.ones(4).to_sparse()},
        "complex": {"a": torch.ones(4, dtype=torch.complex64)},
        "eight-bits": {"a": torch.ones(4).to(torch.float8_e4m3fn)},
        "meta": {"a": torch.ones(4, device="meta")},
        "numbers": {"a": 1},
        "keys": {1: one, (2, 3): one},
        "nested": {"a": {"b": {"c": one}}},
        "list": [one],
        "nothing": {},
        "none": None,
        "text": "a",
    }
    for name, content in held.items():
        yield f"holds-{name}", _torch(content)
    yield "state-is-list", _torch({"state_dict": [one]})
    yield "ordered", _torch(OrderedDict(a=one, b=OrderedDict()))


def _files_of_parts() -> Iterator[tuple[str, bytes]]:
    """Files of several state dicts: of networks that would be too large, or with other things in them."""
    whole = tiny_content("full")
    sine = "renderer.network.pts_linears"
    layer = {f"{sine}.{index}.weight": torch.ones(1, 1) for index in range(6000)}
    changes: dict[str, tuple[str, dict[Any, Any]]] = {
        "call": ("g", {"a": Payload(os.system, "touch owned")}),
        "deep": ("g", {"a": {"b": {"c": torch.ones(1)}}}),
        "number-as-key": ("d", {7: torch.ones(1)}),
        "own-prefix": ("g", {"g_ema.style.0.weight": torch.ones(1)}),
        "repeated": ("g_ema", {"style.0.weight": torch.ones(1).expand(2**20, 2**20)}),
        "wide": ("g_ema", {f"{sine}.0.weight": torch.ones(60_000, 3)}),
        "wide-latent": ("g_ema", {"style.0.weight": torch.ones(1, 30_000)}),
        "layers": ("g_ema", layer),
        "large": ("g_ema", {"decoder.noises.noise_2": torch.ones(1, 1, 1, 2**17)}),
        "large-of-nothing": ("g_ema", {"decoder.noises.noise_2": torch.ones(1, 1, 0, 2**40)}),
        "noises": ("g_ema", {f"decoder.noises.noise_{index}": torch.ones(1, 1, 1, 1) for index in range(9000)}),
        "blocks": ("d", {f"convs.{index}.conv2.1.weight": torch.ones(1, 1) for index in range(9000)}),
        "channels": ("g_ema", {"decoder.conv1.conv.weight": torch.ones(1, 90_000, 1)}),
        "sparse": ("d", {"final_linear.1.bias": torch.ones(1).to_sparse()}),
        "complex": ("d", {"final_linear.1.bias": torch.ones(1, dtype=torch.complex64)}),
        "not-a-number": ("g", {"decoder.conv1.noise.weight": torch.tensor([float("nan")])}),
    }
    for name, (part, values) in changes.items():
        yield name, _torch({**whole, part: {**whole[part], **values}})
    yield "list", _torch({**whole, "d": [torch.ones(1)]})


def _archives() -> Iterator[tuple[str, bytes]]:
    """Containers that lie about what is in them."""
    whole = _torch({"a.weight": torch.ones(40, 40)})
    yield "numel-huge", _replaced(whole, "data.pkl", _more_numbers(whole, 2**40))
    yield "numel-larger", _replaced(whole, "data.pkl", _more_numbers(whole, 2000))
    yield "data-short", _replaced(whole, "data/0", bytes(8))
    yield "data-missing", _replaced(whole, "data/0", None)
    yield "pickle-missing", _replaced(whole, "data.pkl", None)
    yield "pickle-empty", _replaced(whole, "data.pkl", b"")
    yield "pickle-endless", _replaced(whole, "data.pkl", b"\x80\x02" + b"]" * 10_000_000)
    yield "pickle-number", _replaced(whole, "data.pkl", b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"1" * 60)
    yield "pickle-frame", _replaced(whole, "data.pkl", b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.")
    yield "pickle-bytes", _replaced(whole, "data.pkl", b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"a.")
    yield "byteorder", _replaced(whole, "byteorder", b"middle")
    yield "compressed", _replaced(whole, "data/0", bytes(6400), zipfile.ZIP_DEFLATED)
    yield "upward", _replaced(whole, "../../../owned", b"x")
    yield "bomb", _bomb(whole)
    yield "zip-of-text", _zip({"a.txt": b"a"})
    yield "zip-empty", b"PK\5\6" + bytes(18)
    unzipped = _torch({"a.weight": torch.ones(40, 40)}, zipped=False)
    yield "unzipped-numel", unzipped.replace(struct.pack("<H", 1600), struct.pack("<H", 65_535))
    yield "unzipped-cut", unzipped[:-100]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        link = tarfile.TarInfo("storages")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    yield "tar", buffer.getvalue()
    yield "pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:1234\n"
    yield "page", b"<!doctype html><title>404</title>"


def _more_numbers(whole: bytes, count: int) -> bytes:
    """The pickle of a checkpoint, with another count of numbers in its storage."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        content = archive.read(name)
    number = b"\x8a\x06" + count.to_bytes(6, "little")
    assert b"M" + struct.pack("<H", 1600) in content
    return content.replace(b"M" + struct.pack("<H", 1600), number)


def _replaced(whole: bytes, member: str, content: bytes | None, packing: int = zipfile.ZIP_STORED) -> bytes:
    """A checkpoint with other content in one member, or without it."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        root = archive.namelist()[0].partition("/")[0]
    members.pop(f"{root}/{member}", None)
    if content is not None:
        members[f"{root}/{member}"] = content
    return _zip(members, packing)


def _zip(members: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _bomb(whole: bytes) -> bytes:
    """A checkpoint whose numbers are compressed zeros of 6 GiB."""
    data, name = zeros_bomb(6 * 2**20), b"archive/data/0"
    facts = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0, 0, len(data), 2**32 - 2, len(name), 0)
    inner = _zip({"archive/data.pkl": _more_numbers(whole, 2**30), "archive/version": b"3\n"})
    start = inner.index(b"PK\1\2")
    central = inner[start : inner.index(b"PK\5\6")]
    local = b"PK\3\4" + facts + name + data
    entry = b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<HHHII", 0, 0, 0, 0, start) + name
    end = struct.pack("<HHHHIIH", 0, 0, 3, 3, len(central) + len(entry), start + len(local), 0)
    return inner[:start] + local + central + entry + b"PK\5\6" + end


def texts() -> Iterator[tuple[str, bytes]]:
    """YAML that stands for much more, calls something, or is none."""
    laughs = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    yield "laughs", laughs.encode()
    yield "merged", b"a: &a {b: 1}\nc: {<<: *a}\n"
    yield "circle", b"a: &a [*a]\n"
    yield "nested", b"[" * 100_000
    yield "nested-mappings", b"".join(b" " * depth + b"a:\n" for depth in range(600))
    yield "object", b"seed: !!python/object/apply:os.system ['touch owned']\n"
    yield "name", b"seed: !!python/name:os.system\n"
    yield "module", b"seed: !!python/module:antigravity\n"
    yield "long", b"a: 1\n" * 100_000
    yield "utf16", TINY_CONFIG.encode("utf-16")
    yield "binary", bytes(range(256))
    yield "list", b"- a\n- b\n"
    yield "number", b"1e999\n"
    yield "keys", b"? [a, b]\n: 1\n? {a: b}\n: 2\n"
    yield "twice-circle", TINY_CONFIG.replace("n_ctx: ${", "n_ctx: ${system.denoiser_model.n_ctx} # ${").encode()
    yield "numbers", TINY_CONFIG.replace("heads: 4", "heads: 4000000000").encode()
    yield "not-a-number", TINY_CONFIG.replace("z_scale_factor: 1.0", "z_scale_factor: .nan").encode()
    yield "infinite", TINY_CONFIG.replace("z_scale_factor: 1.0", "z_scale_factor: .inf").encode()
    yield "steps", TINY_CONFIG.replace("num_train_timesteps: 1000", "num_train_timesteps: 10000000000").encode()


def _cliptexts() -> Iterator[tuple[str, bytes]]:
    yield "nested", b"[" * 100_000 + b"]" * 100_000
    yield "list", b"[]"
    yield "wide", json.dumps(CLIP_CONFIG).encode("utf-16")
    yield "heads-zero", b'{"vision_config": {"num_attention_heads": 0}}'
    yield "heads-many", b'{"vision_config": {"num_attention_heads": 1e999}}'


@functools.cache
def whole_weights() -> dict[str, bytes]:
    """A weights folder of a tiny autoencoder."""
    torch.manual_seed(0)
    system = AutoencoderSystem(autoencoder_config())
    description = {"schema": 1, "system": "craftsman/autoencoder", "config": to_dict(system.config), "facts": {}}
    tensors = {name: value.contiguous().clone() for name, value in system.own_state().items()}
    return {"config.json": json.dumps(description).encode(), "model.safetensors": save(tensors)}


def _described(**changes: Any) -> bytes:
    return json.dumps(json.loads(whole_weights()["config.json"]) | changes).encode()


def _configured(name: str, value: Any, section: str = "shape_model") -> bytes:
    """The description, with one option of the network changed."""
    description = json.loads(whole_weights()["config.json"])
    description["config"][section][name] = value
    return json.dumps(description).encode()


def _folders() -> Iterator[tuple[str, dict[str, Content]]]:
    """Weights folders of ours, with other content in some files."""
    texts: dict[str, Content] = {
        "nested": b"[" * 100_000 + b"]" * 100_000,
        "list": b"[]",
        "cut": whole_weights()["config.json"][:50],
        "wide": whole_weights()["config.json"].decode().encode("utf-16"),
        "schema-later": _described(schema=99),
        "schema-text": _described(schema="1"),
        "schema-infinite": _described(schema=float("inf")),
        "system-code": _described(system="os/system"),
        "system-path": _described(system="../../secret"),
        "system-list": _described(system=["craftsman/autoencoder"]),
        "config-list": _described(config=[1]),
        "facts-list": _described(facts=[1]),
        "config-more": _described(config={"__class__": "os.system"}),
        "width-huge": _configured("width", 2**40),
        "width-large": _configured("width", 60_000),
        "width-zero": _configured("width", 0),
        "width-negative": _configured("width", -32),
        "width-text": _configured("width", "32"),
        "layers-huge": _configured("encoder_layers", 10**9),
        "heads-zero": _configured("heads", 0),
        "latents-huge": _configured("num_latents", 2**50),
        "rate-nan": _configured("learning_rate", float("nan"), "optimizer"),
    }
    for name, content in texts.items():
        yield f"description-{name}", {"config.json": content}
    for name, content in broken_safetensors():
        yield f"tensors-{name}", {"model.safetensors": content}
    for name, write in odd_places():
        yield f"tensors-place-{name}", {"model.safetensors": write}
    with_nan = bytearray(whole_weights()["model.safetensors"])
    with_nan[-4:] = struct.pack("<f", float("nan"))
    yield "tensors-one-nan", {"model.safetensors": bytes(with_nan)}


def folder_case(name: str, changes: dict[str, Content]) -> Hostile:
    def write(folder: Path) -> None:
        for file, content in (whole_weights() | changes).items():
            put(folder / "own" / file, content)

    # Weights are read before the data, which are not there.
    words = ("validate", "weights={folder}/own", "data=shapes", "data.root=absent", "device=cpu")
    return Hostile(f"weights-folder-{name}", write, words, says="own")
