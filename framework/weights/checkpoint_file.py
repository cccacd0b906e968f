"""Reading a published tensor file: a PyTorch checkpoint (nested or bare) or safetensors. Nothing in it can run code."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from framework.weights.folder import WeightsError

SUFFIXES = (".ckpt", ".pt", ".pth", ".bin", ".safetensors")
"""Endings of tensor files."""
NESTED = "state_dict"
"""Where Lightning and many others keep the tensors inside a checkpoint."""
_BEGINNINGS = (b"PK", b"\x80")
"""First bytes of a zip archive, and of the pickles that torch wrote before it."""
FACTS = ("epoch", "global_step")
"""Plain numbers of a container that are worth keeping."""


def read_tensor_file(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return key -> CPU tensor, and the numbers `epoch` and `global_step` where the file has them.

    Tensors stay on disk until they are touched, where the format allows. Both a bare mapping of tensors and one below
    `state_dict` are read. Raises WeightsError for a damaged file, for one that holds more than tensors and plain
    values (it is not executed), and for one without tensors.
    """
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a mapping of tensors")
    facts = {name: int(content[name]) for name in FACTS if isinstance(content.get(name), int)}
    state = content.get(NESTED, content)
    if not isinstance(state, Mapping):
        raise WeightsError(f"{path}: {NESTED} is a {type(state).__name__}, expected a mapping of tensors")
    others = [str(key) for key, value in state.items() if not isinstance(value, Tensor)]
    if others or not state:
        found = f"{', '.join(others[:4])} among its keys" if others else "nothing"
        raise WeightsError(f"{path} has {found}; expected tensors only, at the top or below {NESTED}")
    return dict(state), facts


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} can't be read ({error}). Download it again") from error


def _read_pickle(path: Path) -> Any:
    """What torch finds in the file without importing anything that the file names."""
    with path.open("rb") as file:
        beginning = file.read(40)
    if not beginning.startswith(_BEGINNINGS):
        raise WeightsError(
            f"{path} is no PyTorch checkpoint: it begins with {beginning!r}. Is it a pointer (git lfs pull fetches the "
            "file itself) or an error page? Download it again"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError as error:
        raise WeightsError(_refusal(path, str(error))) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsError(f"{path} can't be read: it is cut off or damaged ({reason}). Download it again") from error


def _refusal(path: Path, reason: str) -> str:
    found = re.search(r"(?:GLOBAL|Unsupported (?:global|class):) `?(\w+\.[\w.]*\w)", reason)
    named = f" ({found[1]})" if found else ""
    return (
        f"{path} asks for Python objects beside tensors{named}. Such a file can run code, so it is not read. From a "
        f"source that you trust, keep its `{NESTED}` alone, in an environment of its own, and import that file"
    )
