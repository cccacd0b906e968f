"""Optional packages: present, absent, broken, and impostors."""

import sys
from pathlib import Path

import pytest

from framework.optional import MissingExtra, has, require


def test_a_present_package_is_returned() -> None:
    assert require("json", extra="data", attribute="loads").__name__ == "json"
    assert has("json")
    assert has("json", attribute="loads")


def test_an_absent_package_names_its_extra() -> None:
    with pytest.raises(
        MissingExtra, match=r"packing needs the package 'no_such_package': pip install 'atelier3d\[data\]'"
    ):
        require("no_such_package", extra="data", needed_by="packing")
    assert not has("no_such_package")
    assert not has("no_such_parent.child")


def test_a_blocked_package_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    assert not has("lmdb")


def test_a_plain_folder_is_not_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder_like_wandb").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not has("folder_like_wandb")
    with pytest.raises(MissingExtra):
        require("folder_like_wandb", extra="log")


def test_a_placeholder_without_the_attribute_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "placeholder_package.py").write_text("version = 0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert has("placeholder_package")
    assert not has("placeholder_package", attribute="rasterize")
    with pytest.raises(MissingExtra, match="another package of the same name"):
        require("placeholder_package", extra="gl", attribute="rasterize")


@pytest.mark.parametrize(
    "line", ["import no_such_dependency", "raise SystemExit(1)", "raise RuntimeError('no driver')"]
)
def test_a_package_that_fails_to_import_says_why(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"broken_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(line + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtra, match="installed but fails to import") as caught:
        require(name, extra="matting")
    assert caught.value.__cause__ is not None
