"""Reading a published tensor file: a PyTorch checkpoint (nested or bare) or safetensors. Nothing in it can run code."""

from __future__ import annotations

import re
import struct
import warnings
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from framework.artifacts.containers import UNREADABLE_TENSORS, check_tensor_file, check_zip
from framework.weights.folder import WeightsError, is_plain

SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
"""Endings of tensor files."""
NESTED = "state_dict"
"""Where Lightning and many others keep the tensors inside a checkpoint."""
_BEGINNINGS = (b"PK", b"\x80")
"""First bytes of a zip archive, and of the pickles that torch wrote before it."""
SHARED = 4
"""How often all bytes of a file may be used by its tensors: weights that are tied share theirs."""
LONGEST_PICKLE = 2**22
"""Bytes beside the tensors' values: a thousand tensors take 200,000, and reading these takes seconds."""
_DAMAGED = (
    *(RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError, AttributeError),
    *(AssertionError, ArithmeticError, MemoryError, struct.error, zipfile.BadZipFile),
)
"""What torch raises for damaged checkpoints: it indexes and calls what the bytes say."""
FACTS = ("epoch", "global_step")
"""Plain numbers of a container that are worth keeping."""


class DamagedCheckpoint(ValueError):
    """A file is no checkpoint, or only a part of one."""


class CodeInCheckpoint(ValueError):
    """A file asks for more than tensors and plain values, which could run code."""


def read_tensor_file(path: Path, parts: Collection[str] = ()) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return key -> CPU tensor, and the numbers `epoch` and `global_step` where the file has them.

    Tensors stay on disk until they are touched, where the format allows. Both a bare mapping of tensors and one below
    `state_dict` are read, and several mappings below names out of `parts`, whose keys become `<part>.<key>`. Raises
    WeightsError for a damaged file, for one that holds more than tensors and plain values (it is not executed), for one
    without tensors, and for one whose tensors are larger than itself.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a mapping of tensors")
    facts = {name: int(content[name]) for name in FACTS if isinstance(content.get(name), int)}
    state = content.get(NESTED, content)
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: {NESTED} is a {type(state).__name__}, expected a mapping of tensors")
    state = _joined(state, parts)
    others = [str(key) for key, value in state.items() if not (isinstance(key, str) and is_plain(value))]
    if others or not state:
        found = f"{', '.join(others[:4])} among its keys" if others else "nothing"
        raise WeightsError(f"{path} has {found}; expected tensors only, at the top or below {NESTED}")
    _check_sizes(path, state)
    return dict(state), facts


def _joined(state: Mapping[Any, Any], parts: Collection[str]) -> dict[Any, Any]:
    """The mappings below the names `parts` as one, with the names before their keys; the rest as it stands."""
    inner = {key: value for key, value in state.items() if key in parts and isinstance(value, Mapping)}
    joined = {f"{part}.{key}": value for part, values in inner.items() for key, value in values.items()}
    return {key: value for key, value in state.items() if key not in inner} | joined


def load_plain(path: Path) -> Any:
    """Return what torch finds in a checkpoint without importing anything that the file names.

    Raises CodeInCheckpoint or DamagedCheckpoint, whose texts go on after the name of the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch asks for an issue where it meets a protocol that it does not know
            return _load_checked(path)
    except UnpicklingError as error:
        found = re.search(r"(?:GLOBAL|Unsupported (?:global|class):) `?(\w+\.[\w.]*\w)", str(error))
        if found is None:
            raise DamagedCheckpoint("can't be read: it is damaged, or holds more than tensors and numbers") from error
        raise CodeInCheckpoint(f"asks for Python objects beside tensors ({found[1]})") from error
    except _DAMAGED as error:
        sentence = str(error).splitlines()[0].partition(". ")[0] if str(error) else type(error).__name__
        raise DamagedCheckpoint(f"can't be read: it is cut off or damaged ({sentence})") from error


def _load_checked(path: Path) -> Any:
    """Load a file, unless its container promises too much.

    A zip archive is mapped, so that no tensor reaches beyond the file, and must not be compressed: torch never does
    that, and what unpacks to gigabytes would be unpacked before it is looked at.
    """
    check_zip(path)
    if not zipfile.is_zipfile(path):
        return torch.load(path, map_location="cpu", weights_only=True)
    with zipfile.ZipFile(path) as archive:
        packed = [member.filename for member in archive.infolist() if member.compress_type != zipfile.ZIP_STORED]
        talk = sum(member.file_size for member in archive.infolist() if member.filename.endswith(".pkl"))
    if packed:
        raise ValueError(f"{packed[0]} is compressed")
    if talk > LONGEST_PICKLE:
        raise ValueError(f"what describes its tensors has {talk} bytes, more than {LONGEST_PICKLE}")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _check_sizes(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A tensor may claim to be a large one that repeats a few values; shared ones are counted more than once."""
    size = path.stat().st_size
    for key, value in tensors.items():
        if value.nbytes > size:
            raise WeightsError(f"{path}: {key} would have {value.nbytes} bytes, the file has {size}. Download it again")
    if (total := sum(value.nbytes for value in tensors.values())) > SHARED * size:
        raise WeightsError(f"{path}: its tensors would have {total} bytes, the file has {size}. Download it again")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        check_tensor_file(path)
        return safetensors.torch.load_file(path)
    except UNREADABLE_TENSORS as error:
        raise WeightsError(f"{path} can't be read ({error}). Download it again") from error


def _read_pickle(path: Path) -> Any:
    """What torch finds in the file; WeightsError says why nothing."""
    with path.open("rb") as file:
        beginning = file.read(40)
    if not beginning.startswith(_BEGINNINGS):
        raise WeightsError(
            f"{path} is no PyTorch checkpoint: it begins with {beginning!r}. Is it a pointer (git lfs pull fetches the "
            "file itself) or an error page? Download it again"
        )
    try:
        return load_plain(path)
    except CodeInCheckpoint as error:
        raise WeightsError(
            f"{path} {error}. Such a file can run code, so it is not read. From a source that you trust, keep its "
            f"`{NESTED}` alone, in an environment of its own, and import that file"
        ) from error
    except DamagedCheckpoint as error:
        raise WeightsError(f"{path} {error}. Download it again") from error
