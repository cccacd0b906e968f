"""Options of the verbs, one dataclass each. Imports no torch, so that a wrong option is reported before torch loads."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from framework import registry
from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.config.registered import Registered
from framework.pipeline.config import INPUT_MISSING, MethodConfig
from framework.trainers.config import LoggerConfig, TrainerConfig

Device = Literal["auto", "cpu", "cuda", "mps"]


def _torch_renderer() -> Choice:
    return Choice("torch", registry.config_class("renderer", "torch")())


def _require_choice(value: Choice | None, group: str, verb: str) -> None:
    """ConfigError that lists what can be chosen, when nothing was."""
    if value is None:
        known = ", ".join(registry.names(group))
        raise ConfigError("", f"{group} is missing. Give it: launch.py {verb} {group}=<name> ({known}), or run=<id>.")


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise ConfigError("seed", f"is {seed}, expected 0 to {2**32 - 1}.")


@dataclass(kw_only=True)
class TrainOptions:
    """Train a system, from the start or (`run=<id>`) from where a training stopped."""

    system: Annotated[Any, Registered("system")] = None
    """What is trained: `system=<method>/<system>`, then `system.<option>=...`."""
    data: Annotated[Any, Registered("data")] = None
    """What it is trained on: `data=<name>`, then `data.<option>=...`."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """How long, where and how precisely: `trainer=cpu`, `gpu`, `ddp` or `fsdp`, then `trainer.<option>=...`."""
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    """Where metrics go: `logger=csv`, `tensorboard` or `wandb`."""
    run: str | None = None
    """Continue this run (its id or folder) with its saved options; options given beside it win."""
    start_weights: str | None = None
    """Start from these weights (run id, folder, hub id or official files) instead of random ones."""
    output: str | None = None
    """Folder of the run in place of `outputs/<method>/<run id>`."""
    seed: int = 0
    """Seed of everything random."""
    device: Device = "auto"
    """Where networks run; `auto` takes a GPU if there is one."""

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        _require_choice(self.system, "system", "train")
        _require_choice(self.data, "data", "train")


@dataclass(kw_only=True)
class EvaluateOptions:
    """Compute the validation or test metrics of a trained system."""

    run: str | None = None
    """The run (its id or folder) whose options and weights are taken; options given beside it win."""
    weights: str | None = None
    """Weights (run id, folder, hub id or official files) in place of a run's; they bring their system's options."""
    output: str | None = None
    """Folder of `metrics.json`; by default `validate` or `test` inside the run's folder."""
    system: Annotated[Any, Registered("system")] = None
    """What is evaluated, as in `train`; by default the run's."""
    data: Annotated[Any, Registered("data")] = None
    """What it is evaluated on, as in `train`; by default the run's."""
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Precision and number of batches, as in `train`."""
    seed: int = 0
    """Seed of everything random."""
    device: Device = "auto"
    """Where networks run; `auto` takes a GPU if there is one."""

    def __post_init__(self) -> None:
        if self.run is None and self.weights is None:
            raise ConfigError("", "run is missing. Give it: run=<id or folder of a training run>, or weights=<folder>.")
        if self.weights is None:
            _require_choice(self.system, "system", "validate")
        _require_choice(self.data, "data", "validate")
        _check_seed(self.seed)


@dataclass(kw_only=True)
class InputOptions:
    """What a prediction starts from, where the method begins with pictures. `input=<path>` is short for
    `input.path=<path>`."""

    path: str | None = None
    """A picture, or a folder of pictures: one case each."""
    front: str | None = None
    """The front view, when views are given one by one."""
    right: str | None = None
    """The view from the object's +X side."""
    back: str | None = None
    """The view from behind."""
    left: str | None = None
    """The view from the object's -X side."""

    @property
    def views(self) -> dict[str, str | None]:
        """The views that may be given one by one."""
        return {"front": self.front, "right": self.right, "back": self.back, "left": self.left}

    @property
    def given(self) -> bool:
        """Whether there is any picture."""
        return any((self.path, *self.views.values()))


@dataclass(kw_only=True)
class PredictOptions:
    """Run a method: a case with its files for each picture, or for each seed where the method begins with none."""

    method: MethodConfig | None = None
    """Which pipeline with which weights: `method=<name>/<preset>`; a stage's options are `method.stages.<stage>.*`."""
    input: InputOptions = field(default_factory=InputOptions)
    """What to start from: `input=<picture or folder>`; left out where the method begins with random numbers."""
    output: str | None = None
    """Folder in place of `outputs/<method>/<run id>`; cases finished there are skipped."""
    run: str | None = None
    """Run this prediction (its id or folder) again, with its saved options; options given beside it win."""
    stages: str | None = None
    """Part of the pipeline: `<stage>..` from a stage on, `..<stage>` up to one, or `<stage>` alone."""
    count: int = 1
    """Results per input, or in all where there is none, each with its own seed: `seed`, `seed` + 1, ..."""
    seed: int = 0
    """Seed of everything random."""
    device: Device = "auto"
    """Where networks run; `auto` takes a GPU if there is one."""
    renderer: Annotated[Any, Registered("renderer")] = field(default_factory=_torch_renderer)
    """What draws: `renderer=<name>`."""
    weights: dict[str, str] = field(default_factory=dict)
    """Weights in place of the method's: `weights.<system>=<run id, folder, hub id or official files>`."""
    turntable: bool = True
    """Make a turntable video of each mesh too; the sheet of views `preview.png` is made in any case."""

    def __post_init__(self) -> None:
        _check_seed(self.seed)
        if self.count < 1:
            raise ConfigError("count", f"is {self.count}, expected at least 1.")
        if self.method is None:
            raise ConfigError("", "method is missing. Give it: method=<name>. All: launch.py list methods")
        begins = any(registry.entry("stage", stage.type).from_seed for stage in self.method.stages)
        if self.run is None and not self.input.given and not begins:
            raise ConfigError("", INPUT_MISSING)


@dataclass(kw_only=True)
class PrepareOptions:
    """Make a data set that training reads, from your own files or from a seed."""

    data: Annotated[Any, Registered("data")] = None
    """Which kind of set: `data=<name>`, then `data.<option>=...`."""
    source: str | None = None
    """Folder or file to start from."""
    output: str | None = None
    """Where the set is written."""
    seed: int = 0
    """Seed of everything random."""
    device: Device = "auto"
    """Where heavy steps run."""

    def __post_init__(self) -> None:
        if self.data is None:
            raise ConfigError("", f"data is missing. Give it: data=<one of {', '.join(registry.names('data'))}>.")
        if not self.output:
            raise ConfigError("", "output is missing. Give it: launch.py prepare ... output=<folder>")
        _check_seed(self.seed)


@dataclass(kw_only=True)
class ExportOptions:
    """Write something to pass on: the weights or the results of a run, or weights that came in another format."""

    run: str | None = None
    """Id or folder of the run."""
    weights: str | None = None
    """Weights in place of a run's: an official checkpoint (its file or folder) to import, or a folder of ours."""
    format: Literal["weights", "official", "glb", "obj", "ply", "stl", "mp4", "gif"] = "weights"
    """`weights`: a folder of JSON and safetensors (from an official checkpoint, one per system); `official`: the files
    that the method's authors publish; a mesh format: the meshes of a prediction; mp4, gif: the meshes turning once."""
    output: str | None = None
    """Folder that is written; by default `export` inside the run's folder."""
    half: bool = False
    """Store weights in 16 bits: half the size."""
    parts: bool = False
    """Of meshes in layers: a file for each part, named after it, instead of one with all of them."""

    def __post_init__(self) -> None:
        if bool(self.run) == bool(self.weights):
            problem = "is missing" if not self.run else "and weights are given both"
            raise ConfigError("", f"run {problem}. Give one: launch.py export run=<id>, or weights=<files or folder>.")
        if self.weights and self.format not in ("weights", "official"):
            raise ConfigError("format", f"{self.format} is made from a prediction: run=<id>. Weights have no meshes.")
        if self.weights and not self.output:
            raise ConfigError("", "output is missing. Give it: launch.py export weights=... output=<folder>")
        if self.half and self.format != "weights":
            raise ConfigError("half", f"is for format=weights; {self.format} keeps what is stored.")
        if self.parts and self.format in ("weights", "official"):
            raise ConfigError("parts", f"is for meshes: format=obj and the like. {self.format} has none.")


@dataclass(kw_only=True)
class RerunOptions:
    """Repeat a finished training or prediction from its manifest, and say whether the numbers are the same."""

    run: str | None = None
    """Id or folder of the run."""
    output: str | None = None
    """Folder of the repetition in place of `outputs/<method>/<new run id>`."""
    device: Device | None = None
    """Where networks run; by default on the kind of device that the run used."""

    def __post_init__(self) -> None:
        if not self.run:
            raise ConfigError("", "run is missing. Give it: launch.py rerun run=<id or folder of a run>")


@dataclass(kw_only=True)
class ListOptions:
    """Show what can be named: `list methods "std*"`."""

    what: Literal["methods", "systems", "stages", "data", "encoders", "renderers", "experiments", "weights"] = field(
        default="methods", metadata={"positional": True}
    )
    """What to list; `weights` are the checkpoints that the methods' authors publish."""
    pattern: str = field(default="*", metadata={"positional": True})
    """Only names like this; `*` stands for anything."""


@dataclass(kw_only=True)
class DoctorOptions:
    """Show what works on this machine, what is missing, and the one command for each."""
