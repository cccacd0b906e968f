"""Official checkpoints -> weights folders of ours, one per system, and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from framework.artifacts.atomic import atomic_folder
from framework.weights.checkpoint_file import NESTED
from framework.weights.folder import (
    CONFIG_FILE,
    SavedWeights,
    WeightsError,
    load_weights,
    read_description,
    refuse_foreign_folder,
    save_weights,
)
from framework.weights.official import OfficialFiles, OfficialFormat
from framework.weights.opening import (
    fingerprint,
    official_formats,
    read_official,
    read_system,
)


def import_official(source: Path, output: Path, *, half: bool = False) -> tuple[list[Path], list[str]]:
    """Write a weights folder `<output>/<system>` for each system that the official checkpoint at `source` holds.

    Returns the folders, and what the user should know. All of it is written or nothing; values are stored as they are,
    or (`half`) in 16 bits. Raises WeightsError before anything is written.
    """
    adapter, files = read_official(source)
    folders = {system: output / system.rpartition("/")[2] for system in adapter.systems(files.tensors)}
    refuse_foreign_folder(output, [folder.name for folder in folders.values()])
    for folder in folders.values():
        refuse_foreign_folder(folder)
    files = dataclasses.replace(files, places={system: str(folder) for system, folder in folders.items()})
    origin = {"source": source.name, "sha256": fingerprint(source), **files.facts}
    if files.published is not None and not files.notes:
        origin["published"] = files.published.path
    with atomic_folder(output) as temporary:
        notes: dict[str, None] = dict.fromkeys(files.notes)
        for system, folder in folders.items():
            saved = read_system(adapter, files, system)
            notes |= dict.fromkeys(saved.facts.get("notes", ()))
            facts = {**saved.facts, "official": origin}
            save_weights(temporary / folder.name, system, saved.config, saved.tensors, half=half, facts=facts)
    return list(folders.values()), list(notes)


def export_official(source: Path, output: Path) -> list[Path]:
    """Write the file of tensors and those beside it as the method's authors did, and return them.

    `source` is a weights folder, or a folder with one per system as `import_official` writes it. Values keep the types
    in which they are stored. Raises WeightsError when the method publishes no checkpoints, or ours hold what they
    can't express.
    """
    systems = _systems_in(source)
    adapter = _adapter_of(systems)
    files = adapter.write(systems)
    refuse_foreign_folder(output, [adapter.file, *files.texts])
    with atomic_folder(output) as temporary:
        try:
            torch.save(_content(adapter, files), temporary / adapter.file)
        except RuntimeError as error:  # torch hides the system's error behind its own.
            raise OSError(f"{output} can't be written: is the disk full? ({error})") from error
        for name, text in files.texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
    return [output / name for name in (adapter.file, *files.texts)]


def _content(adapter: OfficialFormat, files: OfficialFiles) -> Mapping[str, Any]:
    """What the published file holds: its parts, or one state dict and the numbers beside it."""
    if not adapter.parts:
        return {NESTED: dict(files.tensors), **files.facts}
    parts: dict[str, dict[str, Tensor]] = {part: {} for part in adapter.parts}
    for key, value in files.tensors.items():
        part, _, name = key.partition(".")
        parts[part][name] = value
    return parts


def weights_folders(source: Path) -> list[Path]:
    """Return `source` and the folders directly below it that are weights folders."""
    return [folder for folder in (source, *sorted(source.glob("*/"))) if (folder / CONFIG_FILE).is_file()]


def _systems_in(source: Path) -> dict[str, SavedWeights]:
    """The weights of `source` and of the folders directly below it, by system, in the types they are stored in."""
    found: dict[str, SavedWeights] = {}
    for folder in weights_folders(source):
        system = read_description(folder)["system"]
        if system in found:
            raise WeightsError(f"{source} holds several folders with weights of '{system}': give one of them")
        found[system] = load_weights(folder, stored_types=True)
    if not found:
        raise WeightsError(f"{source} holds no weights folder, so there is nothing to write in an official format")
    return found


def _adapter_of(systems: Mapping[str, SavedWeights]) -> OfficialFormat:
    """The adapter of the one method that all of `systems` belong to."""
    methods = sorted({system.partition("/")[0] for system in systems})
    formats = official_formats()
    if len(methods) != 1 or methods[0] not in formats:
        raise WeightsError(
            f"there is no official format for {', '.join(systems)}: methods that have one are "
            f"{', '.join(formats) or 'none'}"
        )
    return formats[methods[0]]
