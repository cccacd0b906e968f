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
    for folder in (ROOT / "configs", ROOT / "ckpts" / "craftsman-small"):
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
