"""Every `launch.py` command in the documents runs as written, with sizes made tiny, in one folder per document."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from framework.cli import main
from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.export.mesh_files import save_mesh
from framework.renderers import backends
from framework.trainers.run_folder import RUN_ID_VARIABLE
from tests.methods.craftsman.official_files import tiny_state, write_folder

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "docs/own_meshes.md", "docs/official_weights.md", "methods/craftsman/README.md"]
SWEEPS = "docs/sweeps.md"
SCALING = "docs/scaling.md"

ITEMS = "batch_size=2 surface_points=64 supervision_points=32 validation_points=32"
PROCEDURAL = f"{ITEMS} train=4 val=2 test=2 samples=200 render_size=32 processes=0"
SHAPES = ITEMS
TRAINER = "trainer.max_steps=2 trainer.val_interval=2 trainer.val_batches=1 trainer.precision=32 device=cpu"


def commands(document: str) -> list[list[str]]:
    """Words after `python launch.py` of each command in the document's code blocks."""
    blocks = re.findall(r"```bash\n(.*?)```", (REPOSITORY / document).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [shlex.split(command) for command in re.findall(r"(?<=launch\.py )(.*)", "\n".join(blocks))]


def prefixed(prefix: str, options: str) -> list[str]:
    return [f"{prefix}.{option}" for option in options.split()]


def tiny(words: list[str]) -> list[str]:
    """Options that make a command small, put behind its own."""
    verb, given = words[0], " ".join(words)
    sweep = ["seed=1,2", "sweep.parallel=2"] if "-m" in words else []
    if verb == "predict":
        stages = "shape.steps=2 shape.extraction.depth=4"
        return [*prefixed("method.stages", stages), "turntable=false", "device=cpu", *sweep]
    if verb == "train" and "run=" not in given:
        latents = ["system.shape_model.num_latents=8"] if sweep else []
        return [*TRAINER.split(), *tiny_data(given), *sweep, *latents]
    if verb == "prepare":
        counts = "surface_samples=200 volume_samples=200 near_samples=100 workers=1"
        counts += " val_fraction=0.34 test_fraction=0.33"
        return prefixed("data.prepare", counts)
    return []


def tiny_data(given: str) -> list[str]:
    if "small-diffusion" in given:
        source = SHAPES if "data.source.type=shapes" in given else PROCEDURAL
        return [
            *prefixed("data.source", source),
            *prefixed("data", "surface_points=64 supervision_points=8 variants=1 batch_size=2"),
        ]
    return prefixed("data", SHAPES if "data=shapes" in given else PROCEDURAL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with what the documents take for granted: pictures, some meshes, downloaded official weights."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(REPOSITORY / "docs" / "pictures", tmp_path / "docs" / "pictures")
    for number in range(3):
        save_mesh(build_mesh(generate("mug", number), resolution=24), tmp_path / "my_meshes" / f"mug_{number}.obj")
    write_folder(tmp_path / "downloads" / "craftsman", tiny_state())
    return tmp_path


def newest_run(folder: Path, verb: str) -> str:
    manifests = sorted(folder.glob("outputs/*/*/manifest.json"), key=lambda path: path.stat().st_mtime)
    runs = [path.parent for path in manifests if (path.parent / "checkpoints").is_dir() != (verb == "predict")]
    return runs[-1].name


@pytest.mark.parametrize("document", [*DOCUMENTS, pytest.param(SWEEPS, marks=pytest.mark.slow)])
def test_commands_run_as_written(
    document: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if document == "README.md":
        prepared = "prepare data=shapes source=my_meshes output=datasets/my_shapes"
        assert main([*prepared.split(), *tiny(["prepare"])]) == 0
    for words in commands(document):
        if any("<id>" in word for word in words):
            words = [word.replace("<id>", newest_run(workplace, words[0])) for word in words]
        monkeypatch.delenv(RUN_ID_VARIABLE, raising=False)  # a command in a process of its own would not inherit it
        code = main([*words, *tiny(words)])
        assert code == 0, f"{' '.join(words)}\n{capsys.readouterr()}"


def test_the_documents_hold_commands() -> None:
    assert all(len(commands(document)) >= 3 for document in DOCUMENTS)


def test_commands_for_several_devices_are_right(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checked, not run: `tests/tasks/test_processes.py` runs such ones, with processes as the launchers start them."""
    assert main(["train", "experiment=craftsman/small-autoencoder", *tiny(["train"])]) == 0
    for words in commands(SCALING):
        words = [word.replace("<id>", newest_run(workplace, "train")) for word in words]
        assert main([*words, "--cfg"]) == 0, f"{' '.join(words)}\n{capsys.readouterr()}"


def test_the_table_of_rasterizers_is_the_measured_one() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"<!-- renderers -->\n{backends.table()}<!-- end of renderers -->" in text
    assert backends.measured().keys() >= {"torch", "warp"}
