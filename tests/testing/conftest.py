"""`tests/plugin`, installed by pip without network into a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework import registry
from framework.config.folders import config_folders
from framework.trainers.run_folder import RUN_ID_VARIABLE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed `tests/plugin`, as it would from an index."""
    pytest.importorskip("hatchling", reason="extra 'test': hatchling")
    folder = tmp_path_factory.mktemp("site")
    alone = ["--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", "--quiet", *alone, "--target", str(folder)]
    environment = os.environ | {"PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": ""}
    done = subprocess.run([*command, str(ROOT / "tests" / "plugin")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """Makes this process find what is installed in a folder; its working directory is empty."""

    def add(folder: Path) -> None:
        monkeypatch.syspath_prepend(folder)
        forget()

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUN_ID_VARIABLE, raising=False)
    yield add
    forget()


@pytest.fixture
def plugged(site: Path, plug: Callable[[Path], None]) -> Path:
    """The folder of `site`, found by this process."""
    plug(site)
    return site


def forget() -> None:
    """Let packages be looked for anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "atelier3d_ellipsoids"]:
        del sys.modules[name]
    registry.default_registry.cache_clear()
    config_folders.cache_clear()
