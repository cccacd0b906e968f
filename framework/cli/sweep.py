"""A command with `-m` -> a sweep: every job is composed and checked before the first one starts."""

import itertools
import math
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framework.cli.arguments import Command
from framework.cli.listed import listed_values
from framework.cli.options import build
from framework.config.build import from_dict, to_dict
from framework.config.compose import resolve
from framework.config.errors import ConfigError
from framework.config.overrides import assign, read_value
from framework.sweeps.config import SweepOptions
from framework.sweeps.plan import Job, Plan, Sweep, job_name, read_plan
from framework.weights.runs import OUTPUTS, RUN_ID_VARIABLE, new_run_id

VERBS = ("train", "predict")
MOST_JOBS = 1000
PREFIX = "sweep."


def build_sweep(command: Command) -> Sweep:
    """Return the checked sweep, with its stored jobs where `output` holds this very sweep; ConfigError else."""
    verb = str(command.verb)
    if verb not in VERBS:
        raise ConfigError("-m", f"runs {' or '.join(VERBS)} several times, not {verb}.")
    _refuse_launchers()
    given: dict[str, str] = {}
    for key, text in command.assignments:  # as in any command, the last word for a key counts
        given.pop(key, None)
        given[key] = text
    words = {key: text for key, text in given.items() if key != "output" and not key.startswith(PREFIX)}
    options = _sweep_options({key: text for key, text in given.items() if key.startswith(PREFIX)})
    folder = _folder(given.get("output"))
    plan = read_plan(folder)
    if plan is not None:
        _check_same(plan, verb, words, folder)
    else:
        _check_empty(folder)
        plan = Plan(verb, words, _jobs(command, words))
    again = [f"{key}={text}" for key, text in given.items() if key != "output"]
    resume = shlex.join(["python", "launch.py", verb, "-m", *again, f"output={folder}"])
    return Sweep(plan, folder, options, resume)


def _jobs(command: Command, words: Mapping[str, str]) -> list[Job]:
    """All combinations of the listed values; those of the last key change fastest."""
    if command.verb == "train" and words.get("run", "null") != "null":
        raise ConfigError("run", "can't be given in a sweep, whose jobs are new runs. Start from it: start_weights=.")
    lists = {key: listed_values(key, text, MOST_JOBS) for key, text in words.items()}
    count = math.prod(len(values) for values in lists.values())
    if count == 1:
        raise ConfigError("-m", "no key has several values. List some: seed=1,2,3, or 'seed=range(1,4)'.")
    if count > MOST_JOBS:
        factors = " x ".join(f"{len(values)} ({key})" for key, values in lists.items() if len(values) > 1)
        raise ConfigError("-m", f"that makes {count} jobs: {factors}. At most {MOST_JOBS}.")
    combinations = [dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values())]
    varied = [key for key, values in lists.items() if len(values) > 1]
    return [_job(command, number, given, varied) for number, given in enumerate(combinations, 1)]


def _job(command: Command, number: int, words: Mapping[str, str], varied: list[str]) -> Job:
    """One job; what is wrong with its options is said together with its values."""
    values = {key: words[key] for key in varied}
    try:
        options = build(Command(verb=command.verb, words=command.words, assignments=list(words.items())))
    except (ValueError, LookupError) as error:
        shown = " ".join(f"{key}={text}" for key, text in values.items())
        raise ConfigError("", f"{error} (in job {number}: {shown})") from error
    return Job(number, job_name(number, values), values, to_dict(options))


def _sweep_options(words: Mapping[str, str]) -> SweepOptions:
    mapping: dict[str, Any] = {}
    for key, text in words.items():
        assign(mapping, key.removeprefix(PREFIX), text, SweepOptions)
    return from_dict(SweepOptions, resolve(mapping), PREFIX.rstrip("."))


def _folder(output: str | None) -> Path:
    """Where the sweep lies; its own id names it unless `output` is given."""
    text = read_value("output", output or "null", str | None)
    if text is None:
        return OUTPUTS / "sweeps" / (os.environ.get(RUN_ID_VARIABLE) or new_run_id())
    return Path(resolve({"output": text})["output"])


def _check_same(plan: Plan, verb: str, words: Mapping[str, str], folder: Path) -> None:
    """ConfigError that says what differs from the sweep that lies in the folder."""
    old, new = {"": plan.verb} | plan.words, {"": verb} | dict(words)
    differing = [key for key in old | new if old.get(key) != new.get(key)]
    if differing:
        told = "; ".join(f"{key or 'the verb'} was {_told(old, key)}, now {_told(new, key)}" for key in differing)
        raise ConfigError("output", f"{folder} holds another sweep: {told}. Give the same words, or another output=.")


def _told(words: Mapping[str, str], key: str) -> str:
    return words.get(key, "not given")


def _check_empty(folder: Path) -> None:
    """ConfigError for a folder in which something else lies; rests of a write that was killed don't count."""
    if folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise ConfigError("output", f"{folder} holds something else than a sweep. Give a new or an empty folder.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError("output", f"{folder} is a file. Give a folder.")


def _refuse_launchers() -> None:
    """ConfigError under torchrun or srun, where every process would start the sweep again."""
    tasks = int(os.environ.get("SLURM_NTASKS", "1")) if "SLURM_PROCID" in os.environ else 1
    if "LOCAL_RANK" in os.environ or tasks > 1:
        raise ConfigError("-m", "a sweep starts its own processes. Start it once, without torchrun and with one task.")
