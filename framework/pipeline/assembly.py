"""From the section `method` of the options to a pipeline that is ready to run.

Everything that can be wrong is found here, before any weight is read: stages that don't fit, weights that are missing
or belong to something else, a device that is not there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from framework import registry
from framework.artifacts.image import Image
from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.pipeline.config import INPUT_MISSING, MethodConfig
from framework.pipeline.inputs import VIEWS, view_artifact
from framework.pipeline.pipeline import Pipeline
from framework.pipeline.plan import PlannedStage, check_chain, plan_stages
from framework.pipeline.stage import Context
from framework.renderers.automatic import fastest_rasterizer
from framework.renderers.rasterizer import Rasterizer
from framework.weights.folder import WeightsError
from framework.weights.opening import check_weights
from framework.weights.resolve import resolve

GIVEN: Mapping[str, type] = {view_artifact("input", view): Image for view in VIEWS}
"""What may lie in a case before its first stage."""


def plan_method(method: MethodConfig) -> tuple[PlannedStage, ...]:
    """Return the checked chain of stages of `method`; PipelineError or RegistryError when it can't run."""
    stages = plan_stages(method.stages)
    check_chain(stages, GIVEN)
    return stages


def reads_input(stages: Sequence[PlannedStage]) -> bool:
    """Say whether any of `stages` reads a picture that the user gives."""
    return any(name in GIVEN for stage in stages for name in (*stage.stage_class.needs, *stage.stage_class.uses))


def check_input(stages: Sequence[PlannedStage], given: bool) -> None:
    """ConfigError when a picture that `stages` need is missing, or when one is `given` that none of them reads."""
    needed = any(name in GIVEN for stage in stages for name in stage.stage_class.needs)
    if needed and not given:
        raise ConfigError("", INPUT_MISSING)
    if given and not reads_input(stages):
        problem = "is given, but this method begins with random numbers and reads no picture."
        raise ConfigError("input", f"{problem} Leave it out; seed=<first seed> count=<how many> say what is made.")


def resolve_weights(method: MethodConfig, overrides: Mapping[str, str]) -> dict[str, Path]:
    """Return system -> where its weights lie (as `open_weights` takes it), `overrides` before those of the method.

    Raises ConfigError for a system that the method does not use, WeightsError when weights can't be found (with the
    method's word on how to get its own) or are of another system.
    """
    for system in overrides:
        if system not in method.weights:
            hint = registry.suggestion(system, method.weights)
            raise ConfigError(f"weights.{system}", f"method '{method.name}' uses no weights of this name. {hint}")
    found = {system: _find(method, system, overrides.get(system)) for system in method.weights}
    for system, path in found.items():
        try:
            check_weights(path, f"{method.name}/{system}")
        except WeightsError as error:
            raise WeightsError(f"weights.{system}: {error}") from error
    return found


def _find(method: MethodConfig, system: str, given: str | None) -> Path:
    """Where the weights lie that are given, else the method's own, which may have to be fetched first."""
    if given is not None:
        return resolve(given)
    try:
        return resolve(method.weights[system])
    except WeightsError as error:
        if not method.obtain:
            raise
        own = method.weights[system]
        raise WeightsError(f"the weights of method '{method.name}' are not here ({own}). {method.obtain}") from error


def build_pipeline(
    stages: Sequence[PlannedStage],
    weights: Mapping[str, Path],
    *,
    device: torch.device,
    seed: int,
    renderer: Choice,
) -> Pipeline:
    """Return the pipeline; its stages are built when the first case reaches them."""
    rasterizer = _rasterizer(renderer, device)
    folders = {system: str(folder) for system, folder in weights.items()}
    return Pipeline(stages, Context(device=device, seed=seed, weights=folders, renderer=rasterizer), GIVEN)


def _rasterizer(renderer: Choice, device: torch.device) -> Rasterizer:
    if renderer.type == "auto":
        return fastest_rasterizer(renderer.config, device.type)
    rasterizer: Rasterizer = registry.load_class("renderer", renderer.type)(renderer.config)
    return rasterizer


def choose_device(name: str) -> torch.device:
    """Return the device that `device=auto|cpu|cuda|mps` means; ConfigError when this machine has none of the kind."""
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device("cuda" if present["cuda"] else "cpu")
    if name not in present:
        raise ConfigError("device", f"'{name}' is not one of auto, {', '.join(present)}.")
    if not present[name]:
        usable = ", ".join(kind for kind, there in present.items() if there)
        raise ConfigError("device", f"'{name}' is not available here. Use device=auto ({usable} can be used).")
    return torch.device(name)
