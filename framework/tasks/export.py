"""The verb `export`: the weights of a training, the meshes of a prediction, weights in another format."""

import re
from pathlib import Path

from rich.console import Console

from framework import registry
from framework.artifacts.layered_mesh import LayeredMesh
from framework.config.build import from_dict
from framework.export.mesh_files import load_layers, save_layers, save_mesh
from framework.pipeline.presentation import save_turntable
from framework.systems.system import System
from framework.tasks.config import ExportOptions, TrainOptions
from framework.trainers.run_folder import RunFolder
from framework.trainers.run_weights import save_run_weights
from framework.weights.exchange import export_official, import_official, weights_folders
from framework.weights.folder import refuse_foreign_folder
from framework.weights.resolve import resolve

CASE_FILE = "case.json"


class ExportError(ValueError):
    """The run has nothing of this kind to export."""


def run(options: ExportOptions, console: Console | None = None) -> int:
    """Write what `options.format` asks for, print where, and return exit code 0."""
    console = console or Console()
    notes: list[str] = []
    if options.weights:
        paths, notes = convert_weights(options.weights, Path(options.output or ""), options)
    else:
        paths = export_run(RunFolder.open(options.run or ""), options)
    lines = [*(f"note: {note}" for note in notes), *map(str, paths)]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    return 0


def convert_weights(weights: str, output: Path, options: ExportOptions) -> tuple[list[Path], list[str]]:
    """Import an official checkpoint, or write weights of ours in the official format; paths, and what is to be known.

    For the latter `weights` may also be a folder that holds a weights folder per system, as an import makes it. Raises
    WeightsError before anything is written.
    """
    together = Path(weights).expanduser()
    if options.format == "official":
        return export_official(together if weights_folders(together) else resolve(weights), output), []
    source = resolve(weights)
    if weights_folders(source):
        raise ExportError(f"{source} is a weights folder already. The other way round: format=official")
    return import_official(source, output, half=options.half)


def export_run(folder: RunFolder, options: ExportOptions) -> list[Path]:
    """Write a run's weights, in our format or the official one, or its meshes; returns the paths."""
    output = Path(options.output) if options.output else folder.path / "export"
    if options.format == "weights":
        return [export_weights(folder, output, half=options.half)]
    if options.format == "official":
        return export_official(resolve(folder.path), output)
    return export_meshes(folder.path, output, options.format, options.parts)


def export_weights(folder: RunFolder, output: Path, *, half: bool = False) -> Path:
    """Write the averaged weights of the run's chosen checkpoint (`trainer.weights`) as a folder and return it."""
    saved = folder.read_config()
    if "system" not in saved:
        raise ExportError(f"run '{folder.run_id}' is no training, so it has no weights. Give the id of a training run")
    options = from_dict(TrainOptions, saved, "")
    refuse_foreign_folder(output)
    system: System = registry.load_class("system", options.system.type)(options.system.config)
    return save_run_weights(system, folder, options.trainer.weights, output, half=half)


def export_meshes(folder: Path, output: Path, suffix: str, parts: bool = False) -> list[Path]:
    """Convert every mesh of every case to `<output>/<case>.<suffix>`, or `<case>_<mesh>` where a case has several.

    mp4 and gif are films of the mesh turning once. Meshes in layers keep them as parts of a GLB file, and are merged in
    other formats; with `parts` each becomes a file `<case>_<part>`.
    """
    written = []
    for record in sorted(folder.glob(f"*/{CASE_FILE}")):
        meshes = sorted(record.parent.glob("*.glb"))
        for mesh in meshes:
            own = mesh.name.removesuffix(".glb").removesuffix(".layers")
            name = record.parent.name if len(meshes) == 1 else f"{record.parent.name}_{own}"
            layers = load_layers(mesh)
            if parts and mesh.name.endswith(".layers.glb"):
                for part, shape in layers.parts.items():
                    own = f"{record.parent.name}_{_safe(part)}"
                    written.append(_export_mesh(LayeredMesh({part: shape}), output, own, suffix))
            else:
                written.append(_export_mesh(layers, output, name, suffix))
    if not written:
        raise ExportError(f"run {folder} has no meshes: no case in it has a .glb file. Give the id of a prediction")
    return written


def _export_mesh(layers: LayeredMesh, output: Path, name: str, suffix: str) -> Path:
    path = output / f"{name}.{suffix}"
    if suffix == "mp4":
        return save_turntable(layers.merged(), output / name, kind="mp4")
    if suffix == "gif":
        return save_turntable(layers.merged(), output / name, kind="gif")
    if suffix == "glb" and len(layers.parts) > 1:
        return save_layers(layers, path)
    return save_mesh(layers.merged(), path)


def _safe(part: str) -> str:
    """The name of a part, which may come from a file, as a part of a file's name."""
    return re.sub(r"[^\w.+-]", "_", part)[:100]
