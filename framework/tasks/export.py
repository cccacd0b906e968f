"""The verb `export`: the weights of a training, or the meshes of a prediction in another format."""

from pathlib import Path

from rich.console import Console

from framework import registry
from framework.config.build import from_dict
from framework.export.mesh_files import load_mesh, save_mesh
from framework.systems.system import System
from framework.tasks.config import ExportOptions, TrainOptions
from framework.trainers.run_folder import RunFolder
from framework.trainers.run_weights import save_run_weights
from framework.weights.folder import refuse_foreign_folder

CASE_FILE = "case.json"


class ExportError(ValueError):
    """The run has nothing of this kind to export."""


def run(options: ExportOptions, console: Console | None = None) -> int:
    """Write what `options.format` asks for, print where, and return exit code 0."""
    console = console or Console()
    folder = RunFolder.open(options.run or "")
    output = Path(options.output) if options.output else folder.path / "export"
    if options.format == "weights":
        paths = [export_weights(folder, output, half=options.half)]
    else:
        paths = export_meshes(folder.path, output, options.format)
    console.print("\n".join(map(str, paths)), highlight=False, markup=False, soft_wrap=True)
    return 0


def export_weights(folder: RunFolder, output: Path, *, half: bool = False) -> Path:
    """Write the averaged weights of the run's chosen checkpoint (`trainer.weights`) as a folder and return it."""
    saved = folder.read_config()
    if "system" not in saved:
        raise ExportError(f"run '{folder.run_id}' is no training, so it has no weights. Give the id of a training run")
    options = from_dict(TrainOptions, saved, "")
    refuse_foreign_folder(output)
    system: System = registry.load_class("system", options.system.type)(options.system.config)
    return save_run_weights(system, folder, options.trainer.weights, output, half=half)


def export_meshes(folder: Path, output: Path, suffix: str) -> list[Path]:
    """Convert every mesh of every case to `<output>/<case>.<suffix>`, or `<case>_<mesh>` where a case has several."""
    written = []
    for record in sorted(folder.glob(f"*/{CASE_FILE}")):
        meshes = sorted(record.parent.glob("*.glb"))
        for mesh in meshes:
            name = record.parent.name if len(meshes) == 1 else f"{record.parent.name}_{mesh.stem}"
            written.append(output / f"{name}.{suffix}")
            save_mesh(load_mesh(mesh), written[-1])
    if not written:
        raise ExportError(f"run {folder} has no meshes: no case in it has a .glb file. Give the id of a prediction")
    return written
