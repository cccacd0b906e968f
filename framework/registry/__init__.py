"""Names -> where their code and their options are, as strings: looking a name up imports nothing heavy.

A *kind* (`system`, `stage`, `data`, `encoder`, `renderer`, `task`, `sweep`) maps names to entries. The framework's own
are a literal table; a method's come from `SPEC` in `methods/<name>/__init__.py` as `<name>/<key>`; other installed
packages bring methods by an entry point in the group `atelier3d.methods` that names such a `SPEC`. The folder of
methods is listed, and a method is imported only when one of its names, or the list of all names, is asked for.
"""

import functools
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from framework.registry.spec import Entry, MethodSpec
from framework.registry.spec import PublishedFile as PublishedFile

ENTRY_POINT_GROUP = "atelier3d.methods"
"""Entry points of other packages: `<method name> = "<package>:SPEC"`."""


class PluginWarning(UserWarning):
    """Something that another installed package brings is off; the text says what, whose it is, and why."""


@dataclass(frozen=True)
class Plugin:
    """A method that another installed package announces."""

    name: str
    """Name of the method."""

    path: str
    """Its spec, as `package.module:SPEC`."""

    package: str
    """The installed package and its version, as `atelier3d-something 1.0`."""

    problem: str = ""
    """Why the method is off; empty when it works."""


class RegistryError(LookupError):
    """A registered part can't be had."""


class NotRegistered(RegistryError):
    """Nothing of this kind has this name."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"{kind} '{name}' is not registered. {suggestion(name, known)}")
        self.kind = kind
        self.name = name


class FailedToImport(RegistryError):
    """The name is known, but importing its code failed; the cause is chained."""

    def __init__(self, path: str, cause: BaseException) -> None:
        super().__init__(f"'{path}' failed to import: {type(cause).__name__}: {cause}")
        self.path = path


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that is most like `name`, or None when none is near."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return close[0] if close else None


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the sentence after a wrong name: the nearest valid one, else all of them."""
    names = sorted(known)
    close = nearest(name, names)
    if close is not None:
        return f"Nearest: {close}."
    return f"Known: {', '.join(names)}." if names else "Nothing is known here."


def import_object(path: str) -> Any:
    """Import `package.module:Name` and return the object; FailedToImport chains whatever went wrong."""
    module_name, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as cause:  # Code of others runs here: any error becomes one that says whose it is.
        raise FailedToImport(path, cause) from cause


def _own_entries() -> dict[tuple[str, str], Entry]:
    """The framework's own parts, by kind and name."""
    tasks, adapters = "framework.tasks", "framework.renderers.adapters"
    adapter_config = "framework.renderers.config:AdapterConfig"
    table = {
        "task": {
            "train": Entry(f"{tasks}.train:run", f"{tasks}.config:TrainOptions", "train a system"),
            "validate": Entry(
                f"{tasks}.validate:run", f"{tasks}.config:EvaluateOptions", "validation metrics of a run"
            ),
            "test": Entry(f"{tasks}.test:run", f"{tasks}.config:EvaluateOptions", "test metrics of a run"),
            "predict": Entry(f"{tasks}.predict:run", f"{tasks}.config:PredictOptions", "run a method on your input"),
            "prepare": Entry(f"{tasks}.prepare:run", f"{tasks}.config:PrepareOptions", "make a data set from sources"),
            "export": Entry(f"{tasks}.export:run", f"{tasks}.config:ExportOptions", "weights or files from a run"),
            "rerun": Entry(f"{tasks}.rerun:run", f"{tasks}.config:RerunOptions", "repeat a run, compare numbers"),
            "list": Entry(f"{tasks}.listing:run", f"{tasks}.config:ListOptions", "what can be named, with a filter"),
            "doctor": Entry(f"{tasks}.doctor:run", f"{tasks}.config:DoctorOptions", "what this machine has"),
        },
        "sweep": {
            "local": Entry(
                "framework.sweeps.sweep:run",
                "framework.sweeps.config:SweepOptions",
                "the jobs of a sweep on this machine",
            ),
        },
        "renderer": {
            "torch": Entry(
                "framework.renderers.torch_rasterizer:TorchRasterizer",
                "framework.renderers.config:TorchRasterizerConfig",
                "plain torch, everywhere",
            ),
            "warp": Entry(
                "framework.renderers.warp.rasterizer:WarpRasterizer",
                "framework.renderers.config:WarpRasterizerConfig",
                "NVIDIA Warp kernels",
                extra="warp",
            ),
            "nvdiffrast": Entry(
                f"{adapters}.nvdiffrast:NvdiffrastRasterizer", adapter_config, "nvdiffrast, which you build"
            ),
            "pytorch3d": Entry(
                f"{adapters}.pytorch3d:pytorch3d_rasterizer", adapter_config, "PyTorch3D, which you build"
            ),
            "kaolin": Entry(f"{adapters}.kaolin:kaolin_rasterizer", adapter_config, "Kaolin, which you build"),
            "auto": Entry(
                "framework.renderers.automatic:fastest_rasterizer",
                "framework.renderers.config:AutomaticConfig",
                "the fastest installed one that its licence allows",
            ),
        },
        "data": {
            "shapes": Entry(
                "framework.data.shapes:ShapesData",
                "framework.data.config:ShapesConfig",
                "a prepared folder or LMDB of shape samples and views",
            ),
            "procedural": Entry(
                "framework.data.procedural.module:ProceduralData",
                "framework.data.config:ProceduralConfig",
                "objects made from a seed, with labelled coloured parts",
            ),
            "image_lmdb": Entry(
                "framework.data.image_lmdb:ImageLmdbData",
                "framework.data.config:ImageLmdbConfig",
                "an LMDB folder of square pictures at several sizes",
            ),
        },
        "encoder": {
            "vit": Entry(
                "framework.nets.view_encoder:ViewEncoder",
                "framework.nets.config:ViewEncoderConfig",
                "a small vision transformer, trained from scratch",
            ),
        },
        "stage": {
            "matting": Entry(
                "framework.pipeline.matting:Matting",
                "framework.pipeline.config:MattingConfig",
                "cuts the object out of its background",
            ),
        },
    }
    return {(kind, name): entry for kind, entries in table.items() for name, entry in entries.items()}


def _parts(spec: MethodSpec) -> dict[tuple[str, str], Entry]:
    """The entries that a method brings, by kind and full name."""
    kinds = {"system": spec.systems, "stage": spec.stages, "data": spec.data, "encoder": spec.encoders}
    return {(kind, f"{spec.name}/{key}"): entry for kind, parts in kinds.items() for key, entry in parts.items()}


class Registry:
    """The framework's entries and those of every method that can be found."""

    def __init__(self, sources: Mapping[str, Callable[[], MethodSpec]]) -> None:
        """Take the methods as `name -> function that imports its spec`."""
        self._sources = sources
        self._entries = _own_entries()
        self._specs: dict[str, MethodSpec] = {}
        self._broken: dict[str, FailedToImport] = {}

    def _load(self, method: str) -> None:
        """Import a method's spec once; a broken one is remembered, warned of once, and only its names are off."""
        if method in self._specs or method in self._broken or method not in self._sources:
            return
        try:
            spec = self._sources[method]()
        except FailedToImport as error:
            self._broken[method] = error
            warnings.warn(f"method '{method}' is off: {error}", PluginWarning, stacklevel=3)
            return
        self._specs[method] = spec
        self._entries.update(_parts(spec))

    def methods(self) -> dict[str, MethodSpec]:
        """Return the specs of all methods that import, by name."""
        for method in self._sources:
            self._load(method)
        return dict(sorted(self._specs.items()))

    def broken(self) -> dict[str, FailedToImport]:
        """Return why the methods that don't import are off, by name."""
        self.methods()
        return dict(self._broken)

    def names(self, kind: str) -> list[str]:
        """Return all names of a kind, sorted."""
        self.methods()
        return sorted(name for entry_kind, name in self._entries if entry_kind == kind)

    def entry(self, kind: str, name: str) -> Entry:
        """Return the entry of a name; NotRegistered, or FailedToImport when it belongs to a broken method."""
        method = name.partition("/")[0]
        self._load(method)
        if method in self._broken:
            raise self._broken[method]
        if (kind, name) not in self._entries:
            raise NotRegistered(kind, name, self.names(kind))
        return self._entries[kind, name]

    def register(self, kind: str, name: str, entry: Entry) -> None:
        """Add an entry of your own; ValueError when the name is taken."""
        if (kind, name) in self._entries:
            raise ValueError(f"{kind} '{name}' is registered already: {self._entries[kind, name].target}")
        self._entries[kind, name] = entry


def _spec_at(path: str, method: str) -> MethodSpec:
    """Import a spec and check that it is one, goes by the name it was found under, and holds entries."""
    spec = import_object(path)
    if not isinstance(spec, MethodSpec) or spec.name != method:
        cause = TypeError(f"expected a MethodSpec named '{method}', found {getattr(spec, 'name', spec)!r}")
        raise FailedToImport(path, cause)
    try:
        wrong = [name for (_, name), entry in _parts(spec).items() if not isinstance(entry, Entry)]
    except AttributeError as cause:
        raise FailedToImport(path, cause) from cause
    if wrong:
        raise FailedToImport(path, TypeError(f"expected an Entry for each part, not for {', '.join(wrong)}"))
    return spec


def announced(group: str) -> list[EntryPoint]:
    """Return the entry points of installed packages in `group`, in the same order everywhere; nothing is imported."""
    return sorted(importlib.metadata.entry_points(group=group), key=lambda point: (point.name, point.value))


def package_of(point: EntryPoint) -> str:
    """Return name and version of the installed package that an entry point belongs to."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def _own_paths() -> dict[str, str]:
    """The specs of the methods beside this package, by name."""
    folder = Path(__file__).resolve().parents[2] / "methods"
    return {init.parent.name: f"methods.{init.parent.name}:SPEC" for init in sorted(folder.glob("*/__init__.py"))}


def _announced_methods() -> list[Plugin]:
    """The methods of other packages; of several with one name, or one that is ours, all but the first are off."""
    taken, found = _own_paths(), []
    for point in announced(ENTRY_POINT_GROUP):
        problem = f"the name is taken by {taken[point.name]}" if point.name in taken else ""
        taken.setdefault(point.name, point.value)
        found.append(Plugin(point.name, point.value, package_of(point), problem))
    return found


@functools.cache
def default_registry() -> Registry:
    """Return the registry of this process: the methods beside this package and those of installed packages."""
    paths = _own_paths()
    for plugin in _announced_methods():
        if plugin.problem:
            text = f"method '{plugin.name}' of {plugin.package} ({plugin.path}) is off: {plugin.problem}"
            warnings.warn(text, PluginWarning, stacklevel=2)
        else:
            paths[plugin.name] = plugin.path
    return Registry({name: functools.partial(_spec_at, path, name) for name, path in paths.items()})


def plugins() -> list[Plugin]:
    """Return the methods that other installed packages announce, each with why it is off, if it is."""
    broken = default_registry().broken()
    return [
        replace(plugin, problem=str(broken[plugin.name])) if not plugin.problem and plugin.name in broken else plugin
        for plugin in _announced_methods()
    ]


def methods() -> dict[str, MethodSpec]:
    """Return the specs of all methods that import, by name."""
    return default_registry().methods()


def method(name: str) -> MethodSpec:
    """Return the spec of a method; NotRegistered with the nearest name, or FailedToImport with the cause."""
    specs, broken = methods(), default_registry().broken()
    if name in broken:
        raise broken[name]
    if name not in specs:
        raise NotRegistered("method", name, specs)
    return specs[name]


def names(kind: str) -> list[str]:
    """Return all names of a kind, sorted."""
    return default_registry().names(kind)


def entry(kind: str, name: str) -> Entry:
    """Return the entry of a name; NotRegistered with the nearest name, or FailedToImport."""
    return default_registry().entry(kind, name)


def register(kind: str, name: str, entry: Entry) -> None:
    """Add an entry of your own; ValueError when the name is taken."""
    default_registry().register(kind, name, entry)


def config_class(kind: str, name: str) -> type:
    """Import and return the dataclass of a name's options."""
    return import_object(entry(kind, name).config)


def load_class(kind: str, name: str) -> Any:
    """Import and return the class (for tasks: the function) behind a name."""
    return import_object(entry(kind, name).target)
