"""The verb `rerun`: a finished run once more, from what it left behind, and whether its numbers come out the same.

The seed, the options, the kind of device and the number of threads are those of the run. What else has changed since
is said first; it does not keep the run from being repeated.
"""

import os
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from framework import registry
from framework.config.build import from_dict
from framework.pipeline.assembly import choose_device, resolve_weights
from framework.tasks.config import RerunOptions
from framework.tasks.rerun_results import Difference, compare_predictions, compare_trainings
from framework.trainers.manifest import describe_run, read_manifest
from framework.trainers.run_folder import RunFolder, is_first_process
from framework.weights.opening import fingerprint
from framework.weights.resolve import resolve
from framework.weights.runs import OUTPUTS, new_run_id

EXIT_DIFFERENT = 1
THREADS = "OMP_NUM_THREADS"
HARMLESS = ("trainer.max_time", "logger.")
"""Options that change no number."""


class RerunError(ValueError):
    """A run can't be repeated."""


def run(options: RerunOptions, console: Console | None = None) -> int:
    """Repeat the run and compare; exit code 0 when all numbers are equal, 1 when they are not or it could not end.

    Raises RerunError for a run that is no finished training or prediction, and what the run's own verb raises.
    """
    console = console or Console()
    folder = RunFolder.open(options.run or "")
    manifest = checked_manifest(folder)
    repetition = RunFolder(Path(options.output)) if options.output else _new_folder(folder, manifest["verb"])
    # Under a launcher of several processes the others run this too, in the folder that the first one has made.
    if is_first_process() and repetition.path.exists() and any(repetition.path.iterdir()):
        raise RerunError(f"output: {repetition.path} is not empty. Give a new folder for the repetition")
    saved = _options(folder, manifest, repetition, options.device)
    if is_first_process():
        notes = [*differences_of_place(manifest, saved), *_remarks(manifest)]
        _say(console, [f"repeating {folder.path} in {repetition.path}", *(f"note: {note}" for note in notes)])
    code = _repeat(manifest, saved, console)
    if not is_first_process():
        return code
    again = read_manifest(repetition.manifest)
    if again.get("status") not in ("finished", "failed"):
        raise RerunError(f"the repetition {repetition.path} did not end ({again.get('reason') or again['status']})")
    compare = {"train": compare_trainings, "predict": compare_predictions}[manifest["verb"]]
    return _report(console, folder, repetition, compare(folder, repetition))


def checked_manifest(folder: RunFolder) -> dict[str, Any]:
    """Return the manifest of a run that can be repeated; RerunError says why another can't be."""
    manifest = read_manifest(folder.manifest)
    verb, status = manifest.get("verb"), manifest.get("status")
    if verb not in ("train", "predict"):
        problem = f"is a run of the verb {verb}" if verb else "has no manifest.json with its verb and status"
        raise RerunError(f"{folder.path} {problem}. Give a training or a prediction")
    if verb == "train" and status == "failed":
        raise RerunError(f"{folder.path} failed ({manifest.get('reason')}), so there are no numbers to compare")
    # Of a prediction the cases may have failed: they must fail again.
    if status != "finished" and not (verb == "predict" and status == "failed"):
        reached = f" at step {manifest['step']}" if "step" in manifest else ""
        raise RerunError(
            f"{folder.path} is not finished ({status}{reached}). End it first: "
            f"python launch.py {verb} run={folder.reference}"
        )
    return manifest


def differences_of_place(manifest: dict[str, Any], options: Any) -> list[str]:
    """Return what is not as it was when the run was made: versions, commit, device, the files of weights."""
    now = describe_run("", manifest["verb"], options.seed, options.device)
    names = sorted(manifest["versions"].keys() | now["versions"].keys())
    pairs = {f"version of {name}": (manifest["versions"].get(name), now["versions"].get(name)) for name in names}
    pairs["commit"] = (manifest["commit"], now["commit"])
    pairs["device"] = (manifest["device"]["name"], now["device"]["name"])
    weights_then, weights_now = _weights_then(manifest), _weights_now(manifest["verb"], options)
    for name in sorted(weights_then.keys() | weights_now.keys()):
        pairs[f"weights '{name}' (SHA-256)"] = (weights_then.get(name), weights_now.get(name))
    return [f"{what} was {then}, is {now}" for what, (then, now) in pairs.items() if then != now]


def _weights_then(manifest: dict[str, Any]) -> dict[str, str]:
    if manifest["verb"] == "predict":
        return manifest.get("weights", {})
    return {"start_weights": manifest["start_weights"]} if "start_weights" in manifest else {}


def _weights_now(verb: str, options: Any) -> dict[str, str]:
    """Hashes of the weights that the run starts from; WeightsError when they are gone, since then it can't."""
    if verb == "predict":
        return {name: fingerprint(path) for name, path in resolve_weights(options.method, options.weights).items()}
    return {"start_weights": fingerprint(resolve(options.start_weights))} if options.start_weights else {}


def _remarks(manifest: dict[str, Any]) -> list[str]:
    """What about the run itself makes an exact repetition unlikely."""
    commit = manifest["commit"] or ""
    remarks = ["files had been changed after the commit, which nothing recorded"] if commit.endswith("+") else []
    legs = manifest.get("legs", [])
    for before, leg in zip(legs, legs[1:], strict=False):
        changed = [text for text in leg.get("changed", []) if not text.startswith(HARMLESS)]
        if changed:
            remarks.append(
                f"the run went on from step {before['to_step']} with other options, which the repetition has from the "
                f"start: {', '.join(changed)}"
            )
    if manifest["verb"] == "train" and any(leg["status"] == "interrupted" for leg in legs):
        remarks.append("the run was interrupted; where a time limit did it, it validated there once more")
    return remarks


def _options(folder: RunFolder, manifest: dict[str, Any], repetition: RunFolder, device: str | None) -> Any:
    """The run's options for its own verb, in another folder."""
    saved = folder.read_config() | {"run": None, "output": str(repetition.path)}
    saved["device"] = choose_device(device or manifest["device"]["kind"]).type
    if manifest["verb"] == "train":
        saved["trainer"] = saved["trainer"] | {"max_time": None}
    return from_dict(registry.config_class("task", manifest["verb"]), saved)


def _repeat(manifest: dict[str, Any], options: Any, console: Console) -> int:
    if options.device == "cpu":  # sums come out differently with another number of threads
        threads = int(manifest["device"]["threads"])
        torch.set_num_threads(threads)
        os.environ[THREADS] = str(threads)
    return registry.load_class("task", manifest["verb"])(options, console)


def _new_folder(folder: RunFolder, verb: str) -> RunFolder:
    """Where the repetition goes; all processes of a training name the same place."""
    saved = folder.read_config()
    if verb == "train":
        return RunFolder.place(saved["system"]["type"])
    return RunFolder(OUTPUTS / saved["method"]["name"] / new_run_id())


def _report(console: Console, folder: RunFolder, repetition: RunFolder, found: list[Difference]) -> int:
    different = [item for item in found if item.text]
    lines = [f"{item.what}: {item.text or 'equal'}" for item in found]
    verdict = "different from" if different else "equal to"
    _say(console, [*lines, f"{repetition.path} is {verdict} {folder.path}"])
    return EXIT_DIFFERENT if different else 0


def _say(console: Console, lines: list[str]) -> None:
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
