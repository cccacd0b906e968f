"""Methods in packages of their own: what they bring, and that broken and clashing ones take only themselves away."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from framework import registry
from framework.cli import main
from framework.cli.arguments import parse
from framework.cli.options import build
from framework.config.compose import choices
from framework.config.folders import config_folders
from framework.systems.system import System
from tests.test_readme import commands

ROOT = Path(__file__).parents[2]
PACKAGE = "atelier3d_ellipsoids"


def in_a_process(*words: str, sites: tuple[Path, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a Python command with packages installed in `sites`; ours is found by its path alone."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, (ROOT, *sites)))}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def launch(*words: str, site: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a verb that must not need torch."""
    code = (
        "import sys; from framework.cli import main; code = main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules; sys.exit(code)"
    )
    return in_a_process("-c", code, *words, sites=(site,), cwd=cwd)


# What a package from outside brings.


def test_an_installed_method_is_listed_helped_and_configured_from_anywhere(site: Path, tmp_path: Path) -> None:
    assert launch("list", "methods", "ell*", site=site, cwd=tmp_path).stdout.startswith("ellipsoids/small  image -> ")
    experiments = launch("list", "experiments", "ell*", site=site, cwd=tmp_path)
    assert experiments.stdout.startswith("ellipsoids/small  The network behind the weights")
    words = ["train", "experiment=ellipsoids/small", "system.width=9", "trainer=cpu"]
    help_text = launch("train", "system=ellipsoids/outline", "--help", site=site, cwd=tmp_path).stdout
    assert "ellipsoids/outline" in help_text
    assert "system.size  (whole number; default 16)" in help_text
    resolved = launch(*words, "--cfg", site=site, cwd=tmp_path)
    assert "type: ellipsoids/outline" in resolved.stdout
    assert "width: 9" in resolved.stdout
    assert "precision: bf16-mixed" in resolved.stdout, "our own files are in the composition too"
    wrong = launch(*words, "system.widht=9", site=site, cwd=tmp_path)
    assert (wrong.returncode, wrong.stderr) == (2, "error: system.widht: unknown key. Nearest: width.\n")


def test_the_contract_command_passes_for_it(site: Path, tmp_path: Path) -> None:
    done = in_a_process("-m", "framework.testing", "ellipsoids", "--json", sites=(site,), cwd=tmp_path)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["passed"]) == (0, True), done.stdout + done.stderr
    assert {"part", "check", "problem", "passed"} == answer["checks"][0].keys()
    assert {check["part"].split()[0] for check in answer["checks"]} == {"method", "system", "stage", "data", "pipeline"}
    assert not list(tmp_path.iterdir()), "the suite leaves nothing behind"


def test_the_contract_command_names_the_nearest_method(tmp_path: Path) -> None:
    done = in_a_process("-m", "framework.testing", "craftsmann", sites=(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "method 'craftsmann' is not registered. Nearest: craftsman." in done.stderr


def test_the_documented_commands_run(plugged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(ROOT / "docs" / "pictures" / "inputs", tmp_path / "docs" / "pictures" / "inputs")
    found = commands("docs/plugins.md")
    assert len(found) == 4
    for number, words in enumerate(found):
        tiny = {"predict": ["turntable=false"], "train": ["trainer.max_steps=2", "data.val=4"]}.get(words[0], [])
        place = [f"output=run{number}"] if tiny else []
        assert main([*words, *tiny, *place, *(["device=cpu"] if tiny else [])]) == 0, capsys.readouterr()
    assert (tmp_path / "run1" / "mug" / "mesh.glb").is_file()


def test_the_shipped_weights_know_ellipsoids(plugged: Path) -> None:
    data: Any = importlib.import_module(f"{PACKAGE}.data")
    system: Any = System.load(f"{PACKAGE}/weights/outline")
    shapes = torch.tensor([[0.1, -0.1, 0.5, 0.8, 0.65], [0.0, 0.0, 0.9, 0.3, 0.6]])
    outlines = torch.stack([data.outline(shape, system.config.size) for shape in shapes])
    with torch.no_grad():
        predicted = system.shapes(outlines)
    assert (predicted - shapes).abs()[:, :4].max() < 0.06
    assert (predicted - shapes).abs()[:, 4].max() < 0.15, "depth is guessed from the other radii"


# What is broken takes only itself away.


def install(folder: Path, package: str, method: str, spec_path: str, configs: str = "") -> None:
    """What pip leaves behind for a package with entry points."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = f"[atelier3d.methods]\n{method} = {spec_path}\n" if spec_path else ""
    lines += f"[atelier3d.configs]\n{method} = {configs}\n" if configs else ""
    (info / "entry_points.txt").write_text(lines)


def test_what_is_broken_warns_once_and_only_its_own_is_off(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    for name, body in {"crashing": "raise RuntimeError('no luck')", "leaving": "raise SystemExit(3)"}.items():
        install(folder, name, name, f"{name}:SPEC", f"{name}.configs")
        (folder / f"{name}.py").write_text(body)
    install(folder, "empty", "empty", "empty:SPEC")
    (folder / "empty.py").write_text(
        "from framework.registry import MethodSpec\nSPEC = MethodSpec(name='empty', summary='', systems={'a': 'b:C'})"
    )
    code = "import sys; from framework.cli import main; sys.exit(main(['list', 'methods']) + main(['list', 'systems']))"
    done = in_a_process("-c", code, sites=(site, folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ellipsoids/small" in done.stdout
    assert "craftsman/small" in done.stdout
    lines = done.stderr.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    for text in (
        "method 'crashing' is off: 'crashing:SPEC' failed to import: RuntimeError: no luck",
        "method 'leaving' is off: 'leaving:SPEC' failed to import: SystemExit: 3",
        "method 'empty' is off: 'empty:SPEC' failed to import: TypeError: expected an Entry for each part, not",
        "the configuration files of crashing 1.0 are off: there is no folder 'crashing.configs'",
    ):
        assert sum(text in line for line in lines) == 1, done.stderr
    asked = in_a_process(*("-m", "framework.testing", "crashing"), sites=(site, folder), cwd=tmp_path)
    assert asked.returncode == 2
    assert "error: 'crashing:SPEC' failed to import: RuntimeError: no luck" in asked.stderr


def test_the_first_of_one_name_counts_and_the_others_are_named(site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rude"
    taken = choices("method")[0]
    for package in ("alpha", "beta"):
        install(
            folder, package, "craftsman" if package == "alpha" else "ellipsoids", f"{package}:SPEC", f"{package}.files"
        )
        file = folder / package / "files" / "method" / f"{taken}.yaml"
        file.parent.mkdir(parents=True)
        file.write_text("# @package method\nname: stolen\nstages: []\n")
        (folder / package / "__init__.py").write_text("raise RuntimeError('a folder is found without an import')")
    done = in_a_process(
        "-c",
        f"from framework.cli import main; main(['predict', 'method={taken}', 'input=x', '--cfg'])",
        sites=(folder, site),
        cwd=tmp_path,
    )
    assert "stolen" not in done.stdout
    ours = ROOT / "configs" / "method" / f"{taken}.yaml"
    assert (
        "method 'craftsman' of alpha 1.0 (alpha:SPEC) is off: the name is taken by methods.craftsman:SPEC"
        in done.stderr
    )
    assert (
        "method 'ellipsoids' of beta 1.0 (beta:SPEC) is off: the name is taken by atelier3d_ellipsoids:SPEC"
        in done.stderr
    )
    for package in ("alpha", "beta"):
        line = f"'method/{taken}.yaml' of {package} 1.0 is off: the name is taken by {ours}"
        assert done.stderr.count(line) == 1
    assert len(done.stderr.splitlines()) == 4


def test_odd_places_are_no_obstacle(site: Path, plug: Callable[[Path], None], tmp_path: Path) -> None:
    """Folders with spaces, commas, quotes and signs reach Hydra as they are."""
    odd = tmp_path / "it's, a [very] odd=place"
    shutil.copytree(site, odd)
    plug(odd)
    options = build(parse(["train", "experiment=ellipsoids/small"]))
    assert options.trainer.max_steps > 1
    assert odd in config_folders()[1].parents


def test_the_option_reference_speaks_of_ours_only(plugged: Path) -> None:
    from framework.config.reference import main as write_reference

    assert "ellipsoids/outline" in registry.names("system")
    assert write_reference(["--check"]) == 0
