"""A built wheel carries what the commands need, and the program runs from it alone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the wheel, as pip would lay it out."""
    pytest.importorskip("hatchling", reason="extra 'test': hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("atelier3d-*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_every_shipped_file_is_in_it(installed: Path) -> None:
    for folder in (ROOT / "configs", ROOT / "ckpts" / "craftsman-small", ROOT / "ckpts" / "stylesdf-small"):
        for path in (path for path in folder.rglob("*") if path.is_file()):
            copy = installed / "framework" / "_shipped" / path.relative_to(ROOT)
            assert copy.read_bytes() == path.read_bytes()
    assert {path.name for path in installed.iterdir() if path.suffix != ".dist-info"} == {"framework", "methods"}


def test_the_program_runs_from_it(installed: Path, tmp_path: Path) -> None:
    code = "import sys; from framework.cli import main; sys.exit(main(['list', 'experiments']))"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == len(list((ROOT / "configs" / "experiment").rglob("*.yaml")))


def test_files_of_other_packages_stand_beside_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "site" / "sixth" / "files" / "experiment" / "sixth" / "first.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\n# From outside.\ndefaults: [override /data: procedural]\nseed: 7\n")
    info = tmp_path / "site" / "sixth-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sixth\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[atelier3d.configs]\nsixth = sixth.files\n")
    code = (
        "from framework.cli import main; from framework.config.compose import compose\n"
        "assert compose({'experiment': 'sixth/first'}) == {'data': {'type': 'procedural'}, 'seed': 7}\n"
        "main(['list', 'experiments'])"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(installed), str(tmp_path / "site")])}
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "sixth/first" in done.stdout
    assert "From outside." in done.stdout
    assert "craftsman/diffusion-l256" in done.stdout
