"""A command with `-m` becomes a checked sweep, or says what is wrong before anything runs."""

import json
from pathlib import Path

import pytest

from framework.cli.arguments import parse
from framework.cli.sweep import build_sweep
from framework.config.compose import choices
from framework.config.errors import ConfigError
from framework.sweeps.plan import Sweep, write_plan
from framework.weights.runs import RUN_ID_VARIABLE

SYSTEMS = choices("system")
METHOD = choices("method")[0]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory outside of any launcher."""
    monkeypatch.chdir(tmp_path)
    for variable in (RUN_ID_VARIABLE, "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def sweep_of(*words: str, verb: str = "train") -> Sweep:
    return build_sweep(parse([verb, "-m", *words]))


def train(*words: str) -> Sweep:
    return sweep_of(f"system={SYSTEMS[0]}", "data=shapes", *words)


def test_all_combinations_in_a_stable_order() -> None:
    sweep = train("seed=1,2", "trainer.max_steps=5", "trainer.precision=32,bf16-mixed", "output=sweep")
    values = [tuple(job.values.values()) for job in sweep.plan.jobs]
    assert values == [("1", "32"), ("1", "bf16-mixed"), ("2", "32"), ("2", "bf16-mixed")]
    assert [job.number for job in sweep.plan.jobs] == [1, 2, 3, 4]
    assert [job.options["seed"] for job in sweep.plan.jobs] == [1, 1, 2, 2]
    assert {job.options["trainer"]["max_steps"] for job in sweep.plan.jobs} == {5}
    assert {job.options["output"] for job in sweep.plan.jobs} == {None}
    assert sweep.plan.jobs[1].name == "002_seed=1_precision=bf16-mixed"
    assert sweep.output == Path("sweep")


def test_systems_and_recipes_are_varied_like_any_key() -> None:
    sweep = sweep_of(f"system={','.join(SYSTEMS)}", "data=shapes,procedural")
    chosen = [(job.options["system"]["type"], job.options["data"]["type"]) for job in sweep.plan.jobs]
    assert chosen == [(system, data) for system in SYSTEMS for data in ("shapes", "procedural")]
    recipes = choices("experiment")[:2]
    assert len(sweep_of(f"experiment={','.join(recipes)}").plan.jobs) == 2


def test_predictions_too() -> None:
    sweep = sweep_of(f"method={METHOD}", "input='a,b.png',c.png", "count=2", verb="predict")
    assert [job.options["input"]["path"] for job in sweep.plan.jobs] == ["a,b.png", "c.png"]


def test_the_last_word_for_a_key_counts() -> None:
    assert [job.values for job in train("seed=1,2", "trainer.accumulate=2,3", "seed=7").plan.jobs] == [
        {"trainer.accumulate": "2"},
        {"trainer.accumulate": "3"},
    ]


def test_options_of_the_sweep_are_not_varied(workplace: Path) -> None:
    sweep = train("seed=1,2", "sweep.devices=[0,1]", "output=here, and there")
    assert (sweep.options.slots, sweep.options.devices) == (2, [0, 1])
    assert sweep.output == Path("here, and there")
    assert set(sweep.plan.words) == {"system", "data", "seed"}
    assert sweep.command.endswith("seed=1,2 'sweep.devices=[0,1]' 'output=here, and there'")


def test_the_usual_folder_has_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    assert train("seed=1,2").output.parent == Path("outputs/sweeps")
    monkeypatch.setenv(RUN_ID_VARIABLE, "mine")
    assert train("seed=1,2").output == Path("outputs/sweeps/mine")


def test_names_of_folders_are_safe_and_short() -> None:
    hostile = "../../etc/<script>alert('x')</script>"
    name = train(f"data.root=a,{hostile}", f"start_weights={'long' * 40},b").plan.jobs[2].name
    assert name.startswith("003_root=etc-script-alert-x")
    assert len(name) <= 64
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=.+-")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"train -m system={SYSTEMS[0]} data=shapes", "-m: no key has several values. List some: seed=1,2,3"),
        (
            f"train -m system={SYSTEMS[0]} data=shapes seed=1,x",
            "seed: expected whole number, got 'x'. (in job 2: seed=x)",
        ),
        (f"train -m system={SYSTEMS[0]} data=shapes sede=1,2", "sede: unknown key. Nearest: seed. (in job 1: sede=1)"),
        (f"train -m system={SYSTEMS[0]},x/y data=shapes", "system: 'x/y' does not exist. "),
        (
            f"train -m system={SYSTEMS[0]} data=shapes seed=1,2 sweep.paralel=2",
            "sweep.paralel: unknown key. Nearest: parallel.",
        ),
        (
            f"train -m system={SYSTEMS[0]} data=shapes seed=1,2 sweep.parallel=0",
            "sweep.parallel: is 0, expected at least 1.",
        ),
        (
            f"train -m system={SYSTEMS[0]} data=shapes seed=1,2 sweep.parallel=3 sweep.devices=[0,1]",
            "sweep.parallel: is 3, but devices has places for 2 jobs.",
        ),
        (
            f"train -m system={SYSTEMS[0]} data=shapes seed=range(0,40) trainer.max_steps=range(1,40)",
            "-m: that makes 1560 jobs: 40 (seed) x 39 (trainer.max_steps). At most 1000.",
        ),
        (f"train -m system={SYSTEMS[0]} data=shapes seed=1,2 run=x", "run: can't be given in a sweep"),
        ("validate -m run=a,b", "-m: runs train or predict several times, not validate."),
        ("train -m seed=1,2 data=shapes", "system is missing. Give it: "),
    ],
)
def test_errors(words: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_sweep(parse(words.split()))
    assert str(caught.value).startswith(message)


def test_launchers_of_many_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(ConfigError, match="a sweep starts its own processes"):
        train("seed=1,2")


def test_the_same_words_continue_with_the_stored_jobs(workplace: Path) -> None:
    sweep = train("seed=1,2", "output=sweep")
    write_plan(sweep.plan, sweep.output)
    stored = json.loads((sweep.output / "sweep.json").read_text())
    stored["jobs"][0]["options"]["trainer"]["max_steps"] = 77  # as if a YAML file said something else by now
    (sweep.output / "sweep.json").write_text(json.dumps(stored))
    again = train("seed=1,2", "output=sweep", "sweep.parallel=2")
    assert again.plan.jobs[0].options["trainer"]["max_steps"] == 77
    assert again.plan.jobs[1] == sweep.plan.jobs[1]
    assert again.options.slots == 2


def test_other_words_say_what_differs(workplace: Path) -> None:
    sweep = train("seed=1,2", "trainer.accumulate=2", "output=sweep")
    write_plan(sweep.plan, sweep.output)
    with pytest.raises(ConfigError) as caught:
        train("seed=1,2,3", "logger=csv", "output=sweep")
    told = "seed was 1,2, now 1,2,3; trainer.accumulate was 2, now not given; logger was not given, now csv."
    assert f"output: sweep holds another sweep: {told} Give the same words" in str(caught.value)


def test_folders_of_other_things_are_refused(workplace: Path) -> None:
    (workplace / "run").mkdir()
    (workplace / "run" / ".part-12345678-sweep.json").write_text("")
    assert train("seed=1,2", "output=run")
    (workplace / "run" / "config.yaml").write_text("")
    with pytest.raises(ConfigError, match="run holds something else than a sweep"):
        train("seed=1,2", "output=run")
    with pytest.raises(ConfigError, match="config.yaml is a file"):
        train("seed=1,2", "output=run/config.yaml")
    (workplace / "run" / "sweep.json").write_text("{")
    with pytest.raises(ConfigError, match="sweep.json can't be read"):
        train("seed=1,2", "output=run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../../elsewhere"}, "the jobs' names can't be those of their folders"),
        ({"name": "/tmp/elsewhere"}, "the jobs' names can't be those of their folders"),
        ({"name": ".."}, "the jobs' names can't be those of their folders"),
        ({"number": 2}, "the jobs are not counted from 1"),
        ({"values": {"other": "1"}}, "the jobs vary different keys"),
        ({"values": [1]}, "jobs.0.values: expected mapping of text, got "),
    ],
)
def test_a_plan_that_leads_elsewhere_is_refused(workplace: Path, change: dict[str, object], message: str) -> None:
    sweep = train("seed=1,2", "output=sweep")
    path = sweep.output / "sweep.json"
    write_plan(sweep.plan, sweep.output)
    stored = json.loads(path.read_text())
    stored["jobs"][0] |= change
    path.write_text(json.dumps(stored))
    with pytest.raises(ConfigError) as caught:
        train("seed=1,2", "output=sweep")
    assert f"sweep.json can't be read ({message}" in str(caught.value)
