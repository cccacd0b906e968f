"""From what a user gives for weights (a run id, a folder, a hub id) to a local folder."""

import difflib
import re
from pathlib import Path

from framework.weights.folder import CONFIG_FILE, HOW_TO_EXPORT, WeightsError

OUTPUTS = Path("outputs")
RUN_WEIGHTS = "weights"
_REPOSITORY = Path(__file__).resolve().parents[2]
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")


class RunNotFound(ValueError):
    """No run has this id."""


def resolve(source: str | Path) -> Path:
    """Return the weights folder of `source`: a folder, a run folder, a run id, or a hub id `owner/name[@revision]`.

    Relative folders are looked up in the working directory, then beside the installed package (so that `ckpts/...`
    is found from anywhere). Raises WeightsError that says what was tried.
    """
    text = str(source).strip()
    if not text:
        raise WeightsError(f"no weights are given. Give a run id, a folder or a hub id. {HOW_TO_EXPORT}")
    for folder in (Path(text).expanduser(), _REPOSITORY / text):
        if folder.exists():
            return _weights_in(folder)
    if "/" not in text:
        try:
            return _weights_in(find_run(text))
        except RunNotFound as error:
            raise WeightsError(f"weights '{text}': no such folder, and {error}") from error
    if _HUB_ID.fullmatch(text) and not text.startswith("ckpts/"):
        return _download(text)
    raise WeightsError(f"weights '{text}': no such folder in {Path.cwd()}. {HOW_TO_EXPORT}")


def find_run(run: str, outputs: Path = OUTPUTS) -> Path:
    """Return the folder of a run, given its id (looked up in `outputs/*/`) or its path.

    Raises RunNotFound with the nearest ids.
    """
    path = Path(run).expanduser()
    if (path / "config.yaml").is_file():
        return path
    ids = {folder.name: folder for folder in sorted(outputs.glob("*/*")) if (folder / "config.yaml").is_file()}
    if run in ids:
        return ids[run]
    near = difflib.get_close_matches(run, ids, n=3, cutoff=0.4) or sorted(ids)[-3:]
    hint = f"Nearest: {', '.join(near)}" if near else "There are no runs yet"
    raise RunNotFound(f"no run '{run}' in {outputs}/. {hint}. Give an id or the path of a run folder")


def _weights_in(folder: Path) -> Path:
    """The folder itself, or the `weights` folder of a run; anything else is an error that names the way out."""
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
        raise WeightsError(f"weights '{folder}' is a file, expected a folder with {CONFIG_FILE} and model.safetensors")
    raise WeightsError(f"{folder} has no {CONFIG_FILE}, so it is no weights folder. {HOW_TO_EXPORT}")


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
