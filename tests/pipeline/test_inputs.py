"""From `input=` to cases: names, order, and clear words for what is not there."""

from pathlib import Path

import pytest

from framework.config.errors import ConfigError
from framework.pipeline.inputs import CaseInput, list_inputs


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def names(cases: list[CaseInput]) -> list[str]:
    return [case.name for case in cases]


def test_a_folder_in_natural_order_and_with_its_subfolders(tmp_path: Path) -> None:
    touch(tmp_path, "view10.png", "view2.PNG", "a/b.jpeg", "a/c/d.webp", "e.bmp", "notes.txt", "f.jpg.zip")
    assert names(list_inputs(str(tmp_path), {})) == ["a__b", "a__c__d", "e", "view2", "view10"]


def test_hidden_files_and_earlier_results_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".b.png", ".thumbs/c.png", "out/a/case.json", "out/a/input.png", "out/a/views/front.png")
    assert names(list_inputs(str(tmp_path), {})) == ["a"]


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.jpg", "b/c.png", "b__c.png", "b__c_png.png", "D.png", "d.png")
    found = names(list_inputs(str(tmp_path), {}))
    assert len({name.casefold() for name in found}) == len(found) == 7
    assert {"a_png", "a_jpg", "b__c_png"} <= set(found)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("chair.png", "chair"),
        ("config.yaml.png", "config.yaml_case"),
        ("checkpoints.png", "checkpoints_case"),
        ("...png", "_case"),
        ("v1.5 final.png", "v1.5 final"),
    ],
)
def test_names_that_can_be_folders_of_a_run(tmp_path: Path, file: str, name: str) -> None:
    touch(tmp_path, file)
    assert names(list_inputs(str(tmp_path / file), {})) == [name]


def test_views_go_with_one_picture(tmp_path: Path) -> None:
    touch(tmp_path, "front.png", "side.png")
    picture, side = str(tmp_path / "front.png"), str(tmp_path / "side.png")
    [case] = list_inputs(picture, {"left": side, "back": None})
    assert case.pictures == {"front": Path(picture), "left": Path(side)}
    [case] = list_inputs(None, {"front": picture, "left": side})
    assert case.name == "front"
    assert case.pictures == {"front": Path(picture), "left": Path(side)}


def test_what_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "notes.txt", "empty/notes.txt")
    one, two = str(tmp_path / "a.png"), str(tmp_path)
    expected = [
        ((str(tmp_path / "none.png"), {}), "input.path: .*none.png does not exist"),
        ((str(tmp_path / "notes.txt"), {}), "input.path: .*notes.txt is not a picture by its name. Known: .png"),
        ((str(tmp_path / "empty"), {}), "input.path: no picture in the folder .*empty"),
        ((None, {"left": one}), "input.front: missing"),
        ((one, {"front": one}), "input.front: is given together"),
        ((two, {"left": one}), "input.left: goes with one picture, but .* holds 2"),
        ((one, {"left": str(tmp_path / "none.png")}), "input.left: .*does not exist"),
        ((one, {"left": two}), "input.left: .* is a folder, expected a picture"),
    ]
    for (path, views), text in expected:
        with pytest.raises(ConfigError, match=text):
            list_inputs(path, views)
