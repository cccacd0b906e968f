"""From what a user gives for weights (a run id, a folder, a hub id, official files) to where they lie here."""

import re
from pathlib import Path

from framework.config.folders import carried
from framework.config.places import shipped
from framework.weights.checkpoint_file import SUFFIXES
from framework.weights.folder import CONFIG_FILE, HOW_TO_EXPORT, WeightsError
from framework.weights.opening import official_file
from framework.weights.published import where_published
from framework.weights.runs import RunNotFound, find_run

RUN_WEIGHTS = "weights"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


def resolve(source: str | Path) -> Path:
    """Return where the weights of `source` lie, as `open_weights` takes it.

    `source` is a weights folder, a run folder, a run id, a hub id `owner/name[@revision]`, or an official checkpoint
    (its file or folder), which is returned as it is. Relative paths are looked up in the working directory, then
    beside the installed package (so that `ckpts/...` is found from anywhere), then, for `<package>/...`, inside the
    other packages that bring methods. Raises WeightsError that says what was tried.
    """
    text = str(source).strip()
    if not text:
        raise WeightsError(f"no weights are given. Give a run id, a folder or a hub id. {HOW_TO_EXPORT}")
    for folder in (Path(text).expanduser(), shipped(text), *carried(text)):
        if folder.exists():
            return _weights_in(folder)
    if place := where_published(Path(text).name):
        raise WeightsError(f"weights '{text}': no such file in {Path.cwd()}. {place}")
    if "/" not in text:
        try:
            return _weights_in(find_run(text))
        except RunNotFound as error:
            raise WeightsError(f"weights '{text}': no such folder, and {error}") from error
    if _HUB_ID.fullmatch(text) and not text.startswith("ckpts/"):
        return _download(text)
    raise WeightsError(f"weights '{text}': no such folder in {Path.cwd()}. {HOW_TO_EXPORT}")


def _weights_in(folder: Path) -> Path:
    """The folder itself, the `weights` folder of a run, or official files; else an error that names the way out."""
    if (folder / CONFIG_FILE).is_file():
        return folder
    if (folder / RUN_WEIGHTS / CONFIG_FILE).is_file():
        return folder / RUN_WEIGHTS
    if (folder / "checkpoints").is_dir():
        raise WeightsError(
            f"the run {folder} has no weights folder yet (they are written when a training ends). "
            f"Write it now: python launch.py export run={folder.name} format=weights output={folder / RUN_WEIGHTS}"
        )
    if folder.is_file():
        return _official_file(folder)
    if official_file(folder) is not None:
        return folder
    raise WeightsError(f"{folder} has no {CONFIG_FILE}, so it is no weights folder. {HOW_TO_EXPORT}")


def _official_file(path: Path) -> Path:
    """A tensor file that can be of the method's authors; one of ours is given by its folder or run."""
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"weights '{path}' is a file, expected a weights folder or one of {', '.join(SUFFIXES)}")
    if (path.parent / CONFIG_FILE).is_file():
        return path.parent
    if path.parent.name == "checkpoints" and (path.parent.parent / "config.yaml").is_file():
        raise WeightsError(f"weights '{path}' is a checkpoint of a run. Give the run: {path.parent.parent}")
    return path


def _download(hub_id: str) -> Path:
    """The hub raises classes that changed between its versions; all of them are OSErrors (or ValueErrors)."""
    from huggingface_hub import snapshot_download

    name, _, revision = hub_id.partition("@")
    try:
        folder = snapshot_download(name, revision=revision or None, allow_patterns=["*.json", "*.safetensors", "*.md"])
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"weights '{hub_id}': no such folder, and it could not be fetched from the hub "
            f"({type(error).__name__}: {str(error).splitlines()[0]}). Offline? Fetch it elsewhere and give the folder"
        ) from error
    return _weights_in(Path(folder))
