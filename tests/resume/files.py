"""Whether files are whole, by reading them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

from framework.artifacts.atomic import TEMPORARY_PREFIX
from framework.config.compose import read_yaml
from framework.data.image_set import UNFINISHED_FILE, ImageSet
from framework.data.lmdb_reading import opened_lmdb
from framework.data.lmdb_store import packed_names, read_packed
from framework.export.mesh_files import load_mesh
from framework.trainers.checkpoint_content import read_checkpoint


def check_whole(folder: Path) -> int:
    """Read every file below `folder` that goes by its final name; return how many there are.

    AssertionError names the first that can't be read, or whose kind is not known here.
    """
    files = [path for path in folder.rglob("*") if path.is_file() and not is_temporary(path.relative_to(folder))]
    for path in files:
        reader = READERS.get(path.suffix)
        assert reader is not None, f"{path}: nothing here reads such a file"
        try:
            reader(path)
        except Exception as error:  # noqa: BLE001  whatever a reader raises means that the file is not whole
            raise AssertionError(f"{path} is not whole: {type(error).__name__}: {error}") from error
    return len(files)


def is_temporary(path: Path) -> bool:
    """Whether a file, or a folder that it lies in, has not got its final name yet."""
    return any(part.startswith(TEMPORARY_PREFIX) for part in path.parts)


def leftovers(folder: Path) -> list[str]:
    """What is left of files that were being written."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(f"{TEMPORARY_PREFIX}*"))


def _picture(path: Path) -> None:
    with Image.open(path) as picture:
        picture.load()


def _arrays(path: Path) -> None:
    loaded: Any = np.load(path)
    for name in loaded.files if path.suffix == ".npz" else ():
        assert loaded[name] is not None


def _lmdb(path: Path) -> None:
    for name in packed_names(path):
        read_packed(path, name)


def _picture_set(path: Path) -> None:
    """A set has all its pictures; one that is not finished can be read."""
    if path.name == UNFINISHED_FILE and not path.stat().st_size:
        return
    if path.name == UNFINISHED_FILE:
        with opened_lmdb(path) as file:
            assert all(file.get(key) for key in file)
        return
    source = ImageSet(path)
    for size in source.sizes():
        for index in range(source.length()):
            source.picture(size, index)


def _table(path: Path) -> None:
    """Every row has all cells, but for a last one that is being written."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows and all(len(row) == len(rows[0]) for row in rows[:-1])


def _text(path: Path) -> None:
    assert path.read_text(encoding="utf-8")


READERS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_text(encoding="utf-8")),
    ".yaml": read_yaml,
    ".ckpt": read_checkpoint,
    ".safetensors": load_file,
    ".csv": _table,
    ".png": _picture,
    ".npz": _arrays,
    ".npy": _arrays,
    ".glb": load_mesh,
    ".lmdb": _lmdb,
    ".mdb": _picture_set,
    ".md": _text,
    ".lock": lambda path: None,
}
