"""The pipeline with small stages of its own: order, records, restart, failure."""

import errno
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from framework.artifacts.image import Image
from framework.artifacts.latent_set import LatentSet
from framework.pipeline.case import Case, read_record
from framework.pipeline.pipeline import Pipeline
from framework.pipeline.plan import PipelineError, PlannedStage, check_chain, select_stages
from framework.pipeline.stage import Context, Stage, StageError

GIVEN = {"input": Image}


def grey(value: float) -> Image:
    return Image(np.full((4, 4, 3), value, np.float32))


class Invert(Stage):
    Config = SimpleNamespace
    needs: ClassVar[Mapping[str, type]] = {"input": Image}
    gives: ClassVar[Mapping[str, type]] = {"inverted": Image}
    built = 0

    def __init__(self, config: Any, context: Context) -> None:
        super().__init__(config, context)
        type(self).built += 1
        if getattr(config, "unbuildable", False):
            raise ValueError("the weights don't fit")

    def run(self, case: Case) -> None:
        case.write("inverted", Image(1 - case.read("input").pixels))


class Sum(Stage):
    Config = SimpleNamespace
    needs: ClassVar[Mapping[str, type]] = {"inverted": Image}
    uses: ClassVar[Mapping[str, type]] = {"extra": Image}
    gives: ClassVar[Mapping[str, type]] = {"sum": LatentSet}
    may_give: ClassVar[Mapping[str, type]] = {"bonus": LatentSet}

    def run(self, case: Case) -> None:
        total = case.read("inverted").pixels.sum() + torch.Generator().manual_seed(case.seed).initial_seed()
        getattr(self.config, "before", lambda case: None)(case)
        case.write("sum", LatentSet(np.full((1, 1), total)))
        if case.has("extra"):
            case.write("bonus", LatentSet(np.ones((1, 1))))


def planned(stage: type[Stage], name: str = "", **config: Any) -> PlannedStage:
    return PlannedStage(name or stage.__name__.lower(), stage, SimpleNamespace(**config))


def pipeline(**config: Any) -> Pipeline:
    return Pipeline([planned(Invert), planned(Sum, **config)], Context(), GIVEN)


def new_case(folder: Path, value: float = 0.0, seed: int = 0) -> Case:
    case = Case(folder.name, folder, seed)
    case.write("input", grey(value))
    return case


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "case.json").read_text())


def test_a_case_runs_and_is_written_down(tmp_path: Path) -> None:
    case = new_case(tmp_path / "a")
    assert pipeline().run(case)
    assert case.read("sum").vectors[0, 0] == 48
    written = record(tmp_path / "a")
    assert written["status"] == "finished"
    assert [stage["name"] for stage in written["stages"]] == ["invert", "sum"]
    assert written["stages"][1]["reads"] == {"inverted": "inverted.png"}
    assert written["stages"][1]["writes"] == {"sum": "sum.safetensors"}
    assert written["peak_memory_mb"] > 10
    assert all(stage["seconds"] >= 0 for stage in written["stages"])


def test_the_case_seed_reaches_the_stage(tmp_path: Path) -> None:
    case = new_case(tmp_path / "a", seed=7)
    pipeline().run(case)
    assert case.read("sum").vectors[0, 0] == 55


def test_stages_are_built_once_for_all_cases_and_only_when_needed(tmp_path: Path) -> None:
    Invert.built = 0
    chain = pipeline()
    assert Invert.built == 0
    for name in "abc":
        chain.run(new_case(tmp_path / name))
    assert Invert.built == 1


@pytest.mark.parametrize(
    ("stages", "text"),
    [
        ([], "empty"),
        ([planned(Sum)], "stage 'sum' needs 'inverted'; no earlier stage gives it"),
        ([planned(Invert), planned(Invert)], "stands twice"),
        ([planned(Invert), planned(Invert, "again")], "gives 'inverted', which stage 'invert' gives already"),
    ],
)
def test_chains_that_do_not_fit(stages: list[PlannedStage], text: str) -> None:
    with pytest.raises(PipelineError, match=text):
        check_chain(stages, GIVEN)


def test_types_are_checked() -> None:
    with pytest.raises(PipelineError, match="needs 'input' as Image, but it is given as LatentSet"):
        check_chain([planned(Invert)], {"input": LatentSet})
    with pytest.raises(PipelineError, match="gives 'inverted', which the input gives already"):
        check_chain([planned(Invert)], {"input": Image, "inverted": Image})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (None, range(2)),
        ("sum..", range(1, 2)),
        ("..invert", range(1)),
        ("invert..sum", range(2)),
        ("sum", range(1, 2)),
        ("method/sum", range(1, 2)),
        ("..", range(2)),
    ],
)
def test_parts_of_the_chain(expression: str | None, expected: range) -> None:
    assert select_stages(pipeline().stages, expression) == expected


@pytest.mark.parametrize(
    ("expression", "text"),
    [("summ..", "no stage 'summ'. Nearest: sum. Order: invert -> sum"), ("sum..invert", "'invert' runs before 'sum'")],
)
def test_parts_that_are_not_there(expression: str, text: str) -> None:
    with pytest.raises(PipelineError, match=text):
        select_stages(pipeline().stages, expression)


def test_restart_uses_an_edited_picture(tmp_path: Path) -> None:
    case = new_case(tmp_path / "a")
    pipeline().run(case)
    grey(0.0).save(tmp_path / "a" / "inverted.png")
    again = Case("a", tmp_path / "a")
    assert pipeline().run(again, range(1, 2))
    assert again.read("sum").vectors[0, 0] == 0
    assert [stage["name"] for stage in record(tmp_path / "a")["stages"]] == ["invert", "sum"]
    assert record(tmp_path / "a")["status"] == "finished"


def test_stopping_early_is_partial_and_outdates_what_follows(tmp_path: Path) -> None:
    case = new_case(tmp_path / "a")
    assert pipeline().run(case, range(1))
    assert record(tmp_path / "a")["status"] == "partial"
    pipeline().run(case, range(1, 2))
    assert record(tmp_path / "a")["status"] == "finished"
    pipeline().run(case, range(1))
    assert record(tmp_path / "a")["status"] == "partial"
    assert [stage["status"] for stage in record(tmp_path / "a")["stages"]] == ["finished", "outdated"]
    assert (tmp_path / "a" / "sum.safetensors").is_file()


def test_restart_without_the_artifact_names_the_stage_that_gives_it(tmp_path: Path) -> None:
    case = new_case(tmp_path / "a")
    assert not pipeline().run(case, range(1, 2))
    assert case.record.failure is not None
    assert "needs 'inverted'" in case.record.failure.reason
    assert case.record.failure.hint == "Run from there: stages=invert.."


def test_old_optional_artifacts_do_not_survive_a_new_run(tmp_path: Path) -> None:
    case = new_case(tmp_path / "a")
    case.write("extra", grey(0.5))
    pipeline().run(case)
    assert case.has("bonus")
    case.remove(["extra.png"])
    pipeline().run(Case("a", tmp_path / "a"))
    assert not case.has("bonus")


class Odd(Exception):
    """An error that derives from nothing in particular."""


@pytest.mark.parametrize(
    ("error", "reason", "hint"),
    [
        (StageError("no object", "Give one"), "no object", "Give one"),
        (ValueError("mesh: NaN"), "mesh: NaN", ""),
        (Odd("what"), "Odd: what", "The traceback is in error.txt of the case folder"),
        (KeyError("key"), "KeyError: 'key'", "The traceback is in error.txt of the case folder"),
        (torch.OutOfMemoryError("CUDA"), "out of memory", "Use a smaller preset or device=cpu"),
        (MemoryError(), "out of memory", "Use a smaller preset or device=cpu"),
        (OSError(errno.ENOSPC, "No space left"), "the disk is full ([Errno 28] No space left)", "Make room"),
    ],
)
def test_a_failed_case_is_written_down_and_the_next_one_runs(
    tmp_path: Path, error: Exception, reason: str, hint: str
) -> None:
    def fail_on_a(case: Case) -> None:
        if case.name == "a":
            raise error

    chain = pipeline(before=fail_on_a)
    assert not chain.run(new_case(tmp_path / "a"))
    assert chain.run(new_case(tmp_path / "b"))
    written = record(tmp_path / "a")
    assert written["status"] == "failed"
    assert written["failure"]["stage"] == "sum"
    assert written["failure"]["reason"] == reason
    assert written["failure"]["hint"].startswith(hint)
    assert [stage["status"] for stage in written["stages"]] == ["finished", "failed"]
    assert type(error).__name__ in (tmp_path / "a" / "error.txt").read_text()
    assert chain.broken is None


def test_success_removes_the_trace_of_an_earlier_failure(tmp_path: Path) -> None:
    def fail(case: Case) -> None:
        raise Odd

    case = new_case(tmp_path / "a")
    pipeline(before=fail).run(case)
    assert (tmp_path / "a" / "error.txt").is_file()
    assert pipeline().run(case)
    assert not (tmp_path / "a" / "error.txt").exists()
    assert record(tmp_path / "a")["failure"] is None


def test_a_stage_that_cannot_be_built_breaks_the_pipeline(tmp_path: Path) -> None:
    chain = Pipeline([planned(Invert, unbuildable=True)], Context(), GIVEN)
    assert not chain.run(new_case(tmp_path / "a"))
    assert chain.broken is not None
    assert chain.broken.reason == "the weights don't fit"
    assert record(tmp_path / "a")["status"] == "failed"


@pytest.mark.parametrize(
    ("write", "text"), [((), "did not write ['inverted']"), (("inverted", "other"), "wrote ['other']")]
)
def test_a_stage_keeps_its_promise(tmp_path: Path, write: tuple[str, ...], text: str) -> None:
    class Careless(Invert):
        def run(self, case: Case) -> None:
            for name in write:
                case.write(name, grey(0.0))

    case = new_case(tmp_path / "a")
    assert not Pipeline([planned(Careless)], Context(), GIVEN).run(case)
    assert case.record.failure is not None
    assert text in case.record.failure.reason


def test_ctrl_c_passes_and_the_case_counts_as_not_done(tmp_path: Path) -> None:
    def interrupt(case: Case) -> None:
        raise KeyboardInterrupt

    case = new_case(tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        pipeline(before=interrupt).run(case)
    assert record(tmp_path / "a")["status"] == "running"
    assert not Case("a", tmp_path / "a").is_finished("")


def test_presenting_belongs_to_the_case(tmp_path: Path) -> None:
    def present(case: Case) -> list[str]:
        (case.folder / "preview.png").write_text("picture")
        return ["preview.png"]

    def fail(case: Case) -> list[str]:
        raise OSError(errno.EFBIG, "File too large")

    case = new_case(tmp_path / "a")
    assert pipeline().run(case, present=present)
    assert record(tmp_path / "a")["files"] == ["preview.png"]
    assert not pipeline().run(case, present=fail)
    assert record(tmp_path / "a")["failure"]["stage"] == "preview"
    assert not (tmp_path / "a" / "preview.png").exists()


def test_finished_needs_its_files_and_its_signature(tmp_path: Path) -> None:
    case = new_case(tmp_path / "a")
    case.record.signature = "same"
    pipeline().run(case)
    assert Case("a", tmp_path / "a").is_finished("same")
    assert not Case("a", tmp_path / "a").is_finished("other")
    (tmp_path / "a" / "sum.safetensors").unlink()
    assert not Case("a", tmp_path / "a").is_finished("same")


def test_a_damaged_record_counts_as_not_done(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "case.json").write_text('{"status": "finished"')
    assert read_record(tmp_path) is None
    assert "damaged" in caplog.text
    assert not Case("a", tmp_path).is_finished("")


def test_a_record_can_not_remove_files_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    case = new_case(tmp_path / "a")
    case.remove(["../precious.txt", str(tmp_path / "precious.txt"), "..", "."])
    assert (tmp_path / "precious.txt").is_file()
    assert case.has("input")


def test_a_case_folder_that_cannot_be_made_fails_the_case(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file where the folder should be")
    case = Case("a", tmp_path / "a")
    assert not pipeline().run(case)
    assert case.record.status == "failed"
    assert case.record.failure is not None
