"""Opening what `resolve` found: a weights folder of ours, or a published checkpoint through its method's adapter."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from framework import registry
from framework.artifacts.reading import read_text
from framework.config.errors import ConfigError
from framework.weights.checkpoint_file import SUFFIXES, read_tensor_file
from framework.weights.folder import (
    CONFIG_FILE,
    TENSOR_FILE,
    SavedWeights,
    WeightsError,
    check_finite,
    load_weights,
    read_description,
)
from framework.weights.official import OfficialFiles, OfficialFormat
from framework.weights.published import recognise

logger = logging.getLogger(__name__)

OFFICIAL_TENSORS = "model.ckpt"


def open_weights(path: Path, system: str | None = None, *, stored_types: bool = False) -> SavedWeights:
    """Return the weights at `path`: a weights folder, or an official checkpoint (file, or folder that holds one).

    `system` (registry name) says which of an official checkpoint's systems is wanted; it may be left out where there
    is only one. `stored_types` leaves a folder's tensors in the types in which they are stored; else half precision
    becomes float32. Those of an official checkpoint always keep theirs. Raises WeightsError for what can't be read,
    does not fit, or holds values that are not numbers.
    """
    if (path / CONFIG_FILE).is_file():
        return load_weights(path, stored_types=stored_types)
    adapter, files = read_official(path)
    for note in files.notes:
        logger.warning("%s", note)
    held = adapter.systems(files.tensors)
    if system is None and len(held) == 1:
        system = held[0]
    if system is None:
        raise WeightsError(
            f"{path} holds {' and '.join(held)}: import it, and give one of the folders that this writes: "
            f"python launch.py export weights={path} output=<folder>"
        )
    if system not in held:
        raise WeightsError(f"{path} holds {' and '.join(held)}, expected '{system}'")
    return read_system(adapter, files, system)


def read_system(adapter: OfficialFormat, files: OfficialFiles, system: str) -> SavedWeights:
    """Return one system's weights from an official checkpoint; WeightsError unless all of its values are finite."""
    try:
        saved = adapter.read(files, system)
    except (WeightsError, ConfigError) as error:
        if files.where in str(error):
            raise
        raise WeightsError(f"{files.where}: {error}") from error
    check_finite(saved.tensors, files.where)
    return saved


def check_weights(path: Path, system: str) -> None:
    """Raise WeightsError unless `path` holds weights of `system`. An official checkpoint is checked in whole."""
    if not (path / CONFIG_FILE).is_file():
        open_weights(path, system)
    elif (found := read_description(path)["system"]) != system:
        raise WeightsError(f"{path} holds weights of '{found}', expected '{system}'")


def read_official(path: Path) -> tuple[OfficialFormat, OfficialFiles]:
    """Return an official checkpoint (a tensor file, or a folder with one) and the adapter that knows its keys."""
    file = tensor_path(path)
    recognised = recognise(file)
    try:
        tensors, facts = read_tensor_file(file, [part for known in official_formats().values() for part in known.parts])
    except WeightsError as error:
        if not recognised.problem:
            raise
        raise WeightsError(f"{error}. {recognised.problem}") from error
    adapter = _adapter_for(tensors, str(path))
    beside = [file.parent / name for name in adapter.companions]
    try:
        texts = {place.name: read_text(place) for place in beside if place.is_file()}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: a file beside the tensors can't be read ({error}). Download it again") from error
    notes = (recognised.problem,) if recognised.problem else ()
    return adapter, OfficialFiles(tensors, texts, str(path), facts, published=recognised.file, notes=notes)


def tensor_path(path: Path) -> Path:
    """Return the file with the tensors of an official checkpoint: `path` itself, or the one in this folder."""
    file = path if path.is_file() else official_file(path)
    if file is None:
        raise WeightsError(f"{path} holds neither {CONFIG_FILE} nor a checkpoint ({', '.join(SUFFIXES)})")
    return file


def official_file(folder: Path) -> Path | None:
    """Return the tensor file of an official folder: `model.ckpt`, or the only one there is; None without any.

    Raises WeightsError where several lie side by side.
    """
    if (folder / OFFICIAL_TENSORS).is_file():
        return folder / OFFICIAL_TENSORS
    inside = folder.iterdir() if folder.is_dir() else ()
    found = sorted(path for path in inside if path.suffix in SUFFIXES and path.is_file())
    if len(found) > 1:
        raise WeightsError(f"{folder} holds {', '.join(path.name for path in found[:4])}: give one of these files")
    return found[0] if found else None


def _adapter_for(tensors: Mapping[str, Tensor], where: str) -> OfficialFormat:
    """The adapter of the method whose checkpoint this is, told by its keys; WeightsError when none knows it."""
    formats = official_formats()
    for adapter in formats.values():
        if adapter.systems(tensors):
            return adapter
    keys = ", ".join(list(tensors)[:4])
    raise WeightsError(
        f"{where} is no published checkpoint of {', '.join(formats) or 'any method'}: its {len(tensors)} keys "
        f"({keys}, ...) are none of theirs. Is it the right file? Our own weights are given as their folder"
    )


def official_formats() -> dict[str, OfficialFormat]:
    """Return the adapters of all methods that have official checkpoints, by method; one that is broken warns."""
    found: dict[str, OfficialFormat] = {}
    for name, spec in registry.methods().items():
        try:
            found |= {name: registry.import_object(spec.official)} if spec.official else {}
        except registry.FailedToImport as error:
            text = f"the official checkpoints of method '{name}' are off: {error}"
            warnings.warn(text, registry.PluginWarning, stacklevel=2)
    return found


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the tensors' file at `path` (as `open_weights` takes it), as written into manifests."""
    file = path / TENSOR_FILE if (path / CONFIG_FILE).is_file() else tensor_path(path)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
