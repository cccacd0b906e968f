"""A command becomes its verb's options: saved run, chosen files, single options."""

from pathlib import Path

import pytest

from framework.cli.arguments import parse
from framework.cli.options import build, merge
from framework.config.build import to_dict
from framework.config.compose import choices, to_yaml
from framework.config.errors import ConfigError
from framework.weights.runs import RunNotFound

SYSTEM = choices("system")[0]
METHOD = choices("method")[0]


def test_later_is_stronger() -> None:
    words = ["train", f"system={SYSTEM}", "data=shapes", "trainer=gpu", "trainer.precision=32", "seed=1", "seed=2"]
    options = build(parse(words))
    assert (options.device, options.trainer.precision, options.seed) == ("cuda", "32", 2)
    assert (options.system.type, options.data.type) == (SYSTEM, "shapes")


def test_an_option_may_stand_before_the_choice_it_belongs_to() -> None:
    options = build(parse(["trainer.max_steps=7", "trainer=cpu", "train", "data=shapes", f"system={SYSTEM}"]))
    assert (options.trainer.max_steps, options.device) == (7, "cpu")


def test_input_is_short_for_its_path() -> None:
    options = build(parse(["predict", f"method={METHOD}", "input=a, b=c.png", "input.left=l.png"]))
    assert (options.input.path, options.input.left) == ("a, b=c.png", "l.png")


def test_options_of_a_stage_by_its_name() -> None:
    options = build(parse(["predict", f"method={METHOD}", "input=a", "method.stages.matting.ratio=0.5"]))
    assert next(stage for stage in options.method.stages if stage.type == "matting").config.ratio == 0.5


def test_a_recipe_for_training_serves_evaluation(tmp_path: Path) -> None:
    recipe = choices("experiment")[0]
    train = build(parse(["train", f"experiment={recipe}"]))
    assert build(parse(["validate", f"experiment={recipe}", *_run(tmp_path)])).data == train.data


def test_a_run_brings_its_options(tmp_path: Path) -> None:
    words = _run(tmp_path)
    again = build(parse(["train", *words, "trainer.max_steps=9"]))
    assert (again.seed, again.trainer.max_steps, again.trainer.accumulate) == (5, 9, 3)
    assert (again.run, again.output) == (str(tmp_path), None)
    assert build(parse(["validate", *words])).system == again.system


def test_another_set_replaces_the_section_of_a_run(tmp_path: Path) -> None:
    words = _run(tmp_path, "data.root=here")
    assert build(parse(["train", *words])).data.config.root == "here"
    assert build(parse(["validate", *words, "data=procedural"])).data.type == "procedural"


def _run(folder: Path, *words: str) -> list[str]:
    """A saved training in `folder`, and the word that names it."""
    given = [f"system={SYSTEM}", "data=shapes", "seed=5", "trainer.accumulate=3", f"output={folder}", *words]
    (folder / "config.yaml").write_text(to_yaml(to_dict(build(parse(["train", *given])))))
    return [f"run={folder}"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("train sytem=x", "sytem: unknown key. Nearest: system."),
        ("train system=x/y", "system: 'x/y' does not exist. "),
        (f"train system={SYSTEM} data=shapes trainer.max_step=3", "trainer.max_step: unknown key. Nearest: max_steps."),
        (
            f"train system={SYSTEM} data=shapes trainer.max_steps=x",
            "trainer.max_steps: expected whole number, got 'x'.",
        ),
        (f"train system={SYSTEM}", "data is missing. Give it: "),
        ("train data=shapes", "system is missing. Give it: "),
        ("train system.width=3 data=shapes", "system: nothing is chosen. Give it: system=<one of "),
        ("validate", "run is missing. Give it: "),
        ("predict input=x.png", "method is missing. Give it: "),
        (f"predict method={METHOD} input=x count=0", "count: is 0, expected at least 1."),
        (
            f"predict method={METHOD} input=x device=gpu",
            "device: 'gpu' is not one of auto, cpu, cuda, mps. Nearest: cpu.",
        ),
        (f"predict method={METHOD} input=x renderer=opengl", "renderer: 'opengl' does not exist. "),
        ("predict trainer.devices=8", "trainer: is an option of test, train, validate, not of predict."),
        ("predict experiment=x", "experiment: is an option of test, train, validate, not of predict."),
        (f"train system={SYSTEM} data=shapes sweep.parallel=2", "sweep: is for sweeps. Give -m too"),
        ("predict photo.png", "'photo.png' is not understood: options are written key=value."),
        ("export", "run is missing. Give one: "),
        ("export run=x format=fbx", "format: 'fbx' is not one of weights, "),
        ("prepare data=shapes", "output is missing. Give it: "),
        ("prepare output=x", "data is missing. Give it: "),
        ("list metods", "what: 'metods' is not one of methods, "),
        ("list methods a b", "'b' is not understood"),
        ("doctor fix", "'fix' is not understood"),
    ],
)
def test_errors(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(parse(words.split()))
    assert str(caught.value).startswith(message)


def test_errors_of_saved_options_name_their_file(tmp_path: Path) -> None:
    words, file = _run(tmp_path), tmp_path / "config.yaml"
    file.write_text(file.read_text().replace("seed: 5", "seed: five"))
    with pytest.raises(ConfigError) as caught:
        build(parse(["train", *words]))
    assert str(caught.value) == f"seed: expected whole number, got 'five' (in {file})."
    with pytest.raises(ConfigError) as caught:
        build(parse(["train", *words, "seed=six"]))
    assert str(caught.value) == "seed: expected whole number, got 'six'."


def test_an_unknown_run_is_named() -> None:
    with pytest.raises(RunNotFound, match="no run 'nowhere'"):
        build(parse(["train", "run=nowhere"]))


def test_sections_merge_unless_their_type_changes() -> None:
    old = {"data": {"type": "a", "x": 1, "y": {"z": 1}}, "seed": 1}
    assert merge(old, {"data": {"x": 2}}) == {"data": {"type": "a", "x": 2, "y": {"z": 1}}, "seed": 1}
    assert merge(old, {"data": {"type": "b"}}) == {"data": {"type": "b"}, "seed": 1}
    assert merge(old, {"data": {"type": "a", "y": {"w": 2}}})["data"]["y"] == {"z": 1, "w": 2}
