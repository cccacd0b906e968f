"""Shipped files: each composes, and a misspelt choice is answered by us, not by Hydra."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from framework.cli.arguments import parse
from framework.cli.options import build
from framework.config.compose import choices, complete, compose, first_comment, groups, read_yaml
from framework.config.errors import ConfigError
from framework.config.folders import config_folders
from framework.config.places import PACKAGE, shipped


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder in place of the shipped files."""
    monkeypatch.setattr("framework.config.folders.shipped", tmp_path.joinpath)
    config_folders.cache_clear()
    yield tmp_path / "configs"
    config_folders.cache_clear()


def test_groups_and_choices_are_listed_in_depth() -> None:
    assert set(groups()) >= {"data", "experiment", "logger", "method", "renderer", "system", "trainer"}
    assert choices("trainer") == ["cpu", "ddp", "fsdp", "gpu"]
    assert all("/" in name for name in choices("system"))


def test_a_wrong_choice_has_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"trainer: 'gpuu' does not exist\. Nearest: gpu\."):
        complete("trainer", "gpuu")


def test_a_name_alone_means_its_default(own_files: Path) -> None:
    for name in ("one/default", "two/small", "two/large"):
        file = own_files / "method" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert complete("method", "one") == "one/default"
    with pytest.raises(ConfigError, match=r"method: 'two' needs a second part: two/large, two/small\."):
        complete("method", "two")


def test_a_broken_file_is_reported_with_its_choice(own_files: Path) -> None:
    (own_files / "data").mkdir(parents=True)
    (own_files / "config.yaml").write_text("defaults: [_self_, data: null]\n")
    (own_files / "data" / "bad.yaml").write_text("a: [1\n")
    with pytest.raises(ConfigError, match=r"^data=bad: .*\(in .*/data/bad\.yaml\)"):
        compose({"data": "bad"})
    (own_files / "data" / "bad.yaml").write_text("a: ${")
    with pytest.raises(ConfigError, match=r"^data=bad: no viable alternative .*\(in .*/data/bad\.yaml\)"):
        compose({"data": "bad"})


def test_an_experiment_is_stronger_than_groups() -> None:
    recipe = choices("experiment")[0]
    alone, over = compose({"experiment": recipe}), compose({"experiment": recipe, "trainer": "gpu"})
    assert over["trainer"]["max_steps"] == alone["trainer"]["max_steps"]
    assert over["device"] == "cuda"
    assert compose({}) == {}


@pytest.mark.parametrize("recipe", choices("experiment"))
def test_every_recipe_builds(recipe: str) -> None:
    options = build(parse(["train", f"experiment={recipe}"]))
    assert options.system.type in choices("system")
    assert first_comment("experiment", recipe)


@pytest.mark.parametrize("preset", choices("method"))
def test_every_method_preset_builds(preset: str) -> None:
    assert build(parse(["predict", f"method={preset}", "input=x.png"])).method.name == preset.partition("/")[0]


@pytest.mark.parametrize("group", ["system", "data", "trainer", "logger"])
def test_every_choice_builds(group: str) -> None:
    for choice in choices(group):
        others = [f"{key}={choices(key)[0]}" for key in ("system", "data") if key != group]
        build(parse(["train", f"{group}={choice}", *others]))


def test_shipped_files_in_a_checkout_and_in_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shipped("configs") == PACKAGE.parent / "configs"
    monkeypatch.setattr("framework.config.places.PACKAGE", tmp_path / "framework")
    assert shipped("configs") == tmp_path / "configs"
    (tmp_path / "framework" / "_shipped").mkdir(parents=True)
    assert shipped("configs") == tmp_path / "framework" / "_shipped" / "configs"


def test_saved_options_must_be_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for text in ("[1, 2]", "a: [", "!!python/object:os.system {}", "a: &a [1]\nb: *a", "[" * 9000, "a: 1\n" * 90_000):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"config\.yaml: "):
            read_yaml(file)
