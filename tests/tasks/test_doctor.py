"""The verb `doctor`."""

import importlib.metadata
import io

import pytest
from rich.console import Console

from framework.tasks import doctor
from framework.tasks.config import DoctorOptions


def report() -> tuple[int, str]:
    stream = io.StringIO()
    return doctor.run(DoctorOptions(), Console(file=stream, width=200)), stream.getvalue()


def test_everything_is_on_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, text = report()
    assert code == 0
    for word in ("python 3", "cores", "GiB free", "offline", "device=", "torch 2", "nvdiffrast: "):
        assert word in text


def test_a_missing_extra_has_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"core": ["numpy>=1"], "app": ["no-such-package>=3"]}
    monkeypatch.setattr(doctor, "requirements_by_extra", lambda: groups)
    code, text = report()
    assert code == 0
    assert "app: pip install 'atelier3d[app]'" in text
    assert "no-such-package is not installed  (>=3)" in text


def test_a_missing_core_package_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requirements_by_extra", lambda: {"core": ["no-such-package>=3"]})
    code, text = report()
    assert code == 1
    assert "missing: no-such-package" in text


def test_requirements_of_an_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["numpy>=1.26", 'lmdb>=1.4 ; extra == "data"', "rembg[cpu]>=2; extra == 'matting'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: lines)
    expected = {"core": ["numpy>=1.26"], "data": ["lmdb>=1.4"], "matting": ["rembg[cpu]>=2"]}
    assert doctor._installed_requirements() == expected
