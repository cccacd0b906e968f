"""A system's weights as a folder: `config.json`, `model.safetensors` and a model card `README.md`.

The JSON names the system and holds its whole config, so the folder alone is enough to build the network again.
Nothing in it can import or run code.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from framework.artifacts.atomic import atomic_folder, write_json
from framework.artifacts.containers import UNREADABLE_TENSORS, check_tensor_file
from framework.artifacts.reading import read_json
from framework.weights.card import model_card

SCHEMA = 1
CONFIG_FILE = "config.json"
TENSOR_FILE = "model.safetensors"
CARD_FILE = "README.md"

_TYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
)


class WeightsError(ValueError):
    """Weights are missing, damaged, or made for something else."""


@dataclass(frozen=True)
class SavedWeights:
    """The content of a weights folder."""

    name: str
    """Registry name of the system."""
    config: dict[str, Any]
    """The system's config as plain data."""
    tensors: dict[str, Tensor]
    """State, on the CPU; floating-point values are float32 again if they were stored in half precision."""
    facts: dict[str, Any]
    """Where the weights came from: run, step, metrics."""


def save_weights(
    folder: Path,
    name: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    *,
    half: bool = False,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Write the folder, whole or not at all, and return it. A folder that is there already is replaced.

    `half` stores floating-point tensors as float16. Raises WeightsError when `folder` holds anything but weights,
    OSError when the disk refuses.
    """
    refuse_foreign_folder(folder)
    stored = _storable(tensors, half)
    description: dict[str, Any] = {"schema": SCHEMA, "system": name, "config": dict(config), "facts": dict(facts or {})}
    with atomic_folder(folder) as temporary:
        _write_tensors(stored, temporary / TENSOR_FILE, folder)
        write_json(temporary / CONFIG_FILE, description)
        card = model_card(name, description["config"], description["facts"], sum(t.numel() for t in stored.values()))
        (temporary / CARD_FILE).write_text(card, encoding="utf-8")
    return folder


def load_weights(folder: Path, *, stored_types: bool = False) -> SavedWeights:
    """Read a weights folder; WeightsError says which file is missing or damaged.

    `stored_types` leaves half precision as it is instead of making float32 of it.
    """
    description = read_description(folder)
    path = folder / TENSOR_FILE
    if not path.is_file():
        raise WeightsError(f"{folder} has no {TENSOR_FILE}. Export the weights again or download the whole folder")
    try:
        check_tensor_file(path)
        stored = safetensors.torch.load_file(path)
    except UNREADABLE_TENSORS as error:
        raise WeightsError(f"{path} can't be read ({error}). Export or download it again") from error
    if strange := [f"{key} ({value.dtype})" for key, value in stored.items() if not is_plain(value)]:
        raise WeightsError(f"{path}: {', '.join(strange[:4])} are of types that are not read. Export the weights again")
    check_finite(stored, str(path))
    widened = () if stored_types else [key for key, value in stored.items() if value.dtype == torch.float16]
    tensors = stored | {key: stored[key].float() for key in widened}
    return SavedWeights(description["system"], description["config"], tensors, description["facts"])


def read_description(folder: Path) -> dict[str, Any]:
    """Return the checked content of `config.json`: keys `schema`, `system`, `config`, `facts`."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise WeightsError(f"{folder} has no {CONFIG_FILE}, so it is no weights folder. {HOW_TO_EXPORT}")
    try:
        description = read_json(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is no valid JSON ({error}). Export or download it again") from error
    kinds = {"schema": int, "system": str, "config": dict}
    if not isinstance(description, dict) or not all(isinstance(description.get(key), kinds[key]) for key in kinds):
        raise WeightsError(f"{path} lacks schema, system or config: this project did not write it. {HOW_TO_EXPORT}")
    if not isinstance(description.setdefault("facts", {}), dict):
        raise WeightsError(f"{path}: facts is no mapping. Export or download it again")
    if description["schema"] > SCHEMA:
        raise WeightsError(f"{path} has schema {description['schema']}, this version reads up to {SCHEMA}: update it")
    return description


HOW_TO_EXPORT = "Make one: python launch.py export run=<id> format=weights output=<folder>"


def check_tensors(expected: Mapping[str, tuple[int, ...]], given: Mapping[str, Tensor], where: str) -> None:
    """Raise WeightsError, listing the first few, unless `given` has exactly the keys and shapes of `expected`."""
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    wrong = [
        f"{key} is {tuple(given[key].shape)}, expected {shape}"
        for key, shape in expected.items()
        if key in given and tuple(given[key].shape) != shape
    ]
    problems = [
        _problem("missing", missing),
        _problem("unexpected", unexpected),
        _problem("of the wrong shape", wrong),
    ]
    if any(problems):
        raise WeightsError(
            f"{where}: the weights don't fit the network: {'; '.join(filter(None, problems))}. They were made with "
            "another config or version: load them with the config saved beside them, or export them again"
        )


def is_plain(value: object) -> bool:
    """Return whether this is a tensor whose values are in memory or in a file, of a type that networks have."""
    if not isinstance(value, Tensor):
        return False
    strided = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
    return strided and value.dtype in _TYPES


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise WeightsError unless all values are numbers that a network can compute with."""
    broken = [key for key, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        more = f" and {len(broken) - 4} more" if len(broken) > 4 else ""
        raise WeightsError(
            f"{where}: {', '.join(broken[:4])}{more} hold values that are not finite (nan or inf), so nothing "
            "can be made with these weights. Download them again, or take an earlier checkpoint"
        )


def refuse_foreign_folder(folder: Path, own: Collection[str] = (CONFIG_FILE, TENSOR_FILE, CARD_FILE)) -> None:
    """Raise WeightsError when `folder` is a file, or holds something else than `own` files that would be lost."""
    if folder.exists() and not folder.is_dir():
        raise WeightsError(f"output={folder} is a file. Give a folder")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in own) if folder.is_dir() else []
    if foreign:
        raise WeightsError(f"{folder} holds other files ({', '.join(foreign[:3])}). Give a new or empty folder")


def _write_tensors(tensors: dict[str, Tensor], path: Path, folder: Path) -> None:
    try:
        safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise OSError(f"{folder} can't be written: {error}") from error


def _problem(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - 4} more" if len(keys) > 4 else ""
    return f"{len(keys)} {kind} ({', '.join(keys[:4])}{more})"


def _storable(tensors: Mapping[str, Tensor], half: bool) -> dict[str, Tensor]:
    """The tensors as safetensors takes them: contiguous, none a part of another's memory; copied only if need be."""
    stored: dict[str, Tensor] = {}
    memories: set[int] = set()
    for key, tensor in tensors.items():
        value = tensor.detach().cpu()
        value = value.half() if half and value.is_floating_point() else value
        memory = value.untyped_storage()
        alone = memory.nbytes() == value.nbytes and memory.data_ptr() not in memories
        stored[key] = value if alone and value.is_contiguous() else value.clone().contiguous()
        memories.add(memory.data_ptr())
    return stored
