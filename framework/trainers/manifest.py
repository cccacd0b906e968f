"""What a run was: versions, seed, device, commit, timings, memory and how it ended. One JSON file per run."""

import importlib.metadata
import platform
import resource
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from framework.artifacts.atomic import write_json
from framework.artifacts.reading import read_mapping

SCHEMA = 1
PACKAGES = ("torch", "pytorch-lightning", "numpy", "diffusers", "transformers", "safetensors")
_WITHOUT = "Move it away: the run can be used without it"
_REPOSITORY = Path(__file__).resolve().parents[2]


class ManifestError(ValueError):
    """A manifest is there, but it is none."""


def describe_run(run: str, verb: str, seed: int, device: str) -> dict[str, Any]:
    """Return the part of a manifest that is known at the start; its status is `running`.

    `device` is the kind of device that is used: cpu, cuda or mps.
    """
    return {
        "schema": SCHEMA,
        "run": run,
        "verb": verb,
        "status": "running",
        "started": timestamp(),
        "command": sys.argv[1:],
        "seed": seed,
        "device": describe_device(device),
        "versions": versions(),
        "commit": commit(),
    }


def describe_device(kind: str) -> dict[str, Any]:
    """Return the kind of device, its name, and how many threads torch uses on the CPU."""
    name = torch.cuda.get_device_name() if kind == "cuda" else platform.processor() or platform.machine()
    return {"kind": kind, "name": name, "threads": torch.get_num_threads()}


def versions() -> dict[str, str]:
    """Return the versions of Python, this project and the packages that decide results."""
    found = {"python": platform.python_version()}
    for package in ("atelier3d", *PACKAGES):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    """Return the git commit of this project, with `+` when files differ from it; None outside a checkout."""
    try:
        head = _git("rev-parse", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def peak_memory() -> dict[str, int]:
    """Return the peak memory of this process in MiB: resident, and on the GPU if one was used."""
    # Linux counts KiB, macOS bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = {"process_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peak["gpu_mib"] = torch.cuda.max_memory_allocated() // 2**20
    return peak


def read_manifest(path: Path) -> dict[str, Any]:
    """Return a manifest, or an empty one when the file is missing; ManifestError when it is damaged."""
    if not path.is_file():
        return {}
    try:
        manifest = read_mapping(path)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} is damaged ({error}). {_WITHOUT}") from error
    if not isinstance(manifest.get("legs", []), list):
        raise ManifestError(f"{path} holds no manifest. {_WITHOUT}")
    return manifest


def update_manifest(path: Path, **entries: Any) -> dict[str, Any]:
    """Set entries of a manifest file, whole or not at all, and return it."""
    manifest = read_manifest(path) | entries
    write_json(path, manifest)
    return manifest


def end_leg(path: Path, status: str, leg: Mapping[str, Any], reason: str | None = None, **entries: Any) -> None:
    """Write how a run, or a part of one, ended: `finished`, `interrupted` or `failed` with its reason.

    `leg` is added to the list `legs`: one entry for each time the run was started or continued.
    """
    legs = [*read_manifest(path).get("legs", []), dict(leg)]
    ended = {"status": status, "reason": reason, "ended": timestamp(), "peak_memory": peak_memory(), "legs": legs}
    update_manifest(path, **ended, **entries)


def timestamp() -> str:
    """Return the time as ISO 8601 with its zone, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _git(*words: str) -> str:
    command = ["git", "-C", str(_REPOSITORY), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
