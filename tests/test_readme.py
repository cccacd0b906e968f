"""Every `launch.py` command in the documents runs as written, with sizes made tiny, in one folder per document."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from framework.cli import main
from framework.data.procedural.catalogue import generate
from framework.data.procedural.sampling import build_mesh
from framework.export.mesh_files import save_mesh
from framework.renderers import backends
from framework.systems.system import System
from framework.trainers.run_folder import RUN_ID_VARIABLE
from tests.methods.craftsman.official_files import tiny_state, write_folder
from tests.methods.stylesdf.ball import save_ball

REPOSITORY = Path(__file__).parents[1]
DOCUMENTS = ["README.md", "docs/own_meshes.md", "docs/official_weights.md", "methods/craftsman/README.md"]
FACES = "methods/stylesdf/README.md"
SMALL_FACES = "ckpts/stylesdf-small/full"
SWEEPS = "docs/sweeps.md"
SCALING = "docs/scaling.md"

ITEMS = "batch_size=2 surface_points=64 supervision_points=32 validation_points=32"
PROCEDURAL = f"{ITEMS} train=4 val=2 test=2 samples=200 render_size=32 processes=0"
SHAPES = ITEMS
SDF_SIZES = "depth=2 width=16 N_samples=4"
FACE_SIZES = "style_dim=16 size=64 renderer_resolution=16 channel_max=8"
FACE_DATA = "batch_size=2 val_fraction=0.3"
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
    if verb == "predict" and "method=stylesdf" in given:
        seed = [] if "seed=" in given or "input=" in given else ["seed=3"]  # those of the tiny weights have surfaces
        return [*prefixed("method.stages", tiny_face_stages(given)), "turntable=false", "device=cpu", *seed]
    if verb == "predict":
        stages = "shape.steps=2 shape.extraction.depth=4"
        return [*prefixed("method.stages", stages), "turntable=false", "device=cpu", *sweep]
    if "stylesdf/" in given:
        return tiny_face_training("_volume" in given)
    if verb == "train" and "run=" not in given:
        latents = ["system.shape_model.num_latents=8"] if sweep else []
        return [*TRAINER.split(), *tiny_data(given), *sweep, *latents]
    if "data=image_lmdb" in given:
        return ["data.processes=1"]
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


def tiny_face_stages(given: str) -> str:
    """Options of the stages of a pipeline that makes faces."""
    found = (
        "mesh.surface_resolution=16 video.frames=2 video.N_samples=4 video.surface_resolution=8 video.surface_size=16"
    )
    if "method=stylesdf/invert" in given:
        steps = ("candidates", "starts", "search_steps", "w_steps", "w_plus_steps")
        return f"{found} invert.truncation_mean=8 " + " ".join(f"invert.{name}=1" for name in steps)
    return f"{found} sample.truncation_mean=8"


def tiny_face_training(first_stage: bool) -> list[str]:
    """Options of a training that finds a sphere, so that there is a surface, and takes two steps against it."""
    sphere = "sphere_init.steps=100 optim.g_lr=1e-3 optim.d_lr=1e-3" if first_stage else ""
    steps = "max_steps=102 val_interval=51" if first_stage else "max_steps=2 val_interval=2"
    return [
        *prefixed("system.renderer", SDF_SIZES),
        *prefixed("system.generator", FACE_SIZES),
        *prefixed("system", f"chunk=2 {sphere}"),
        *prefixed("data", f"{FACE_DATA} thumb_resolution=16" if first_stage else FACE_DATA),
        *prefixed("trainer", f"{steps} val_batches=1 precision=32"),
        "device=cpu",
    ]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with what the documents take for granted: pictures, some meshes, downloaded official weights."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(REPOSITORY / "docs" / "pictures", tmp_path / "docs" / "pictures")
    for number in range(3):
        save_mesh(build_mesh(generate("mug", number), resolution=24), tmp_path / "my_meshes" / f"mug_{number}.obj")
    write_folder(tmp_path / "downloads" / "craftsman", tiny_state())
    return tmp_path


@pytest.fixture
def with_faces(workplace: Path) -> Path:
    """The same with pictures of faces, weights of the small preset and a downloaded official file."""
    random = np.random.default_rng(0)
    (workplace / "faces").mkdir()
    for number in range(12):
        pixels = random.integers(0, 255, (80, 64, 3), np.uint8)
        Image.fromarray(pixels).save(workplace / "faces" / f"{number}.png")
    write_published_faces(workplace, save_ball(workplace / SMALL_FACES))
    return workplace


def write_published_faces(workplace: Path, weights: Path) -> None:
    """Put weights of ours under a published file's name, in its form, where downloads are."""
    state = System.load(weights).state_dict()
    parts = {"g": "generator.", "d": "discriminator.", "g_ema": "generator_average."}
    content = {
        part: {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        for part, prefix in parts.items()
    }
    torch.save(content, workplace / "downloads" / "ffhq1024x1024.pt")


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
        save_ball(workplace / SMALL_FACES)
    if document == "docs/official_weights.md":
        write_published_faces(workplace, save_ball(workplace / SMALL_FACES))
    run_commands(document, workplace, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_of_the_page_about_faces_run_as_written(
    with_faces: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_commands(FACES, with_faces, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_program_of_the_page_about_faces_runs_as_written(with_faces: Path) -> None:
    """With small options behind its own, and a seed for which the tiny weights have a surface."""
    text = (REPOSITORY / FACES).read_text(encoding="utf-8")
    (program,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    film, search = (
        "frames=2, N_samples=4, surface_resolution=8, surface_size=16",
        "search_steps=2, w_steps=2, w_plus_steps=2",
    )
    for given, small in {
        "seed=0": "seed=3",
        '"surface.mp4")': f'"surface.mp4", {film})',
        '"face.glb")': '"face.glb", surface_resolution=16)',
        'invert("face.png")': f'invert("face.png", candidates=2, {search})',
    }.items():
        assert given in program
        program = program.replace(given, small)
    found: dict[str, Any] = {}
    exec(program, found)
    assert len(found["faces"]) == 4 and 0 < found["same"].measures["residual"] < 0.5
    assert all((with_faces / name).stat().st_size for name in ("face.png", "face.mp4", "surface.mp4", "face.glb"))


def run_commands(
    document: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in commands(document):
        if any("<id>" in word for word in words):
            words = [word.replace("<id>", newest_run(workplace, words[0])) for word in words]
        monkeypatch.delenv(RUN_ID_VARIABLE, raising=False)  # a command in a process of its own would not inherit it
        code = main([*words, *tiny(words)])
        assert code == 0, f"{' '.join(words)}\n{capsys.readouterr()}"


def test_the_documents_hold_commands() -> None:
    assert all(len(commands(document)) >= 3 for document in [*DOCUMENTS, FACES])


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
