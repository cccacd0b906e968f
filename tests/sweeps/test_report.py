"""`results.csv` and `report.html`: complete, self-contained, and safe to open whatever the values are."""

from __future__ import annotations

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image as PilImage

from framework.artifacts.atomic import write_json
from framework.sweeps.job_folder import JobFolder, Result
from framework.sweeps.plan import Sweep
from framework.sweeps.plot import parallel_coordinates, positions
from framework.sweeps.report import PICTURED_JOBS, report, write_report
from framework.sweeps.results import best_jobs, write_results
from tests.sweeps.finished import finish, sweep_of

HOSTILE = """</td><script>alert("x")</script><img src=x onerror='alert(1)'>&amp;"""
VALUES = [{"seed": seed, "system.width": width} for seed in ("1", "2") for width in ("8", "16", "128")]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects elements, and checks that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Six trainings: five are through, one failed."""
    sweep = sweep_of(tmp_path / "sweep", VALUES)
    for number, value in enumerate((0.5, 0.25, 0.75, 0.125, 0.625), 1):
        finish(sweep, number, value)
    write_json(folder_of(sweep, 6).ended, {"status": "failed", "reason": "the loss is <nan>"})
    return sweep


def folder_of(sweep: Sweep, number: int) -> JobFolder:
    return JobFolder(sweep.output / sweep.plan.jobs[number - 1].name)


def results_of(sweep: Sweep) -> dict[int, Result]:
    return {job.number: folder_of(sweep, job.number).result() for job in sweep.plan.jobs}


def test_a_row_for_every_job(sweep: Sweep) -> None:
    with write_results(sweep, results_of(sweep)).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["job"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert [(row["seed"], row["system.width"]) for row in rows] == [tuple(values.values()) for values in VALUES]
    assert (rows[3]["status"], rows[3]["seconds"], rows[3]["progress"]) == ("finished", "61.0", "10/10")
    assert (rows[3]["monitor"], rows[3]["best"], rows[3]["val/loss"]) == ("val/loss", "0.125", "1.125")
    assert (rows[5]["status"], rows[5]["reason"], rows[5]["best"]) == ("failed", "the loss is <nan>", "")


def test_the_best_follows_the_mode(tmp_path: Path) -> None:
    for mode, number in (("min", 2), ("max", 3)):
        sweep = sweep_of(tmp_path / mode, VALUES[:3])
        for job, value in enumerate((0.5, 0.25, 0.75), 1):
            finish(sweep, job, value, mode)
        assert [job.number for job in best_jobs(sweep.plan, results_of(sweep))] == [number]


def test_systems_are_not_compared_with_each_other(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, [{"system": "a"}, {"system": "b"}])
    sweep.plan.jobs[1] = type(sweep.plan.jobs[1])(2, "002", {"system": "b"}, {"system": {"type": "other"}})
    for number in (1, 2):
        finish(sweep, number, 0.5)
    assert [job.number for job in best_jobs(sweep.plan, results_of(sweep))] == [1, 2]
    assert len(Page(report(sweep, results_of(sweep))).of("svg")) == 2


def test_the_page_needs_nothing_else(sweep: Sweep) -> None:
    page = Page(write_report(sweep, results_of(sweep)).read_text())
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "use", "image")
        assert "href" not in attributes
        assert (attributes.get("src") or "data:").startswith("data:")
    assert len(page.of("img")) == 5
    assert "http" not in page.text
    assert not re.search(r"@import|url\(", page.text)


def test_what_the_page_shows(sweep: Sweep) -> None:
    page = Page(report(sweep, results_of(sweep)))
    assert "6 jobs: 5 finished, 1 failed; 0:05:05 in all." in page.text
    assert "val/loss 0.125, the lowest of 5: job 4, seed=2, system.width=8" in page.text
    assert "job 6, seed=2, system.width=128: the loss is <nan>" in page.text
    lines = page.of("polyline")
    assert len(lines) == 5
    assert [line["class"] for line in lines] == ["job"] * 4 + ["job best"]
    assert sum(row.get("class") == "best" for row in page.of("tr")) == 1


def test_the_last_pictures_are_inside(sweep: Sweep) -> None:
    source = str(Page(report(sweep, results_of(sweep))).of("img")[0]["src"])
    picture = PilImage.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
    assert picture.getpixel((0, 0)) == (200, 200, 200)


def test_a_damaged_picture_is_told(sweep: Sweep) -> None:
    folder_of(sweep, 1).pictures()["shape & colour"].write_bytes(b"PNG")
    page = Page(report(sweep, results_of(sweep)))
    assert len(page.of("img")) == 4
    assert "step_000010_shape & colour.png can't be read" in page.text


def test_of_many_jobs_the_best_are_pictured(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, [{"seed": str(seed)} for seed in range(PICTURED_JOBS + 2)])
    for job in sweep.plan.jobs:
        finish(sweep, job.number, 1.0 / job.number)
    page = Page(report(sweep, results_of(sweep)))
    assert len(page.of("img")) == PICTURED_JOBS
    assert "2 more have pictures" in page.text
    assert "job 1seed=0" not in page.text


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / HOSTILE.replace("/", ""), [{HOSTILE: HOSTILE}, {HOSTILE: "b"}], system=HOSTILE)
    finish(sweep, 1, 0.5)
    write_json(folder_of(sweep, 2).ended, {"status": "failed", "reason": HOSTILE})
    text = report(sweep, results_of(sweep))
    page = Page(text)
    assert len(page.of("script")) == 1
    assert all("onerror" not in attributes for _, attributes in page.elements)
    assert len(page.of("img")) == 1
    assert page.text.count("""alert("x")""") >= 5
    with write_results(sweep, results_of(sweep)).open(newline="") as file:
        assert next(csv.DictReader(file))[HOSTILE] == HOSTILE


def test_before_anything_ran(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, VALUES)
    page = Page(report(sweep, results_of(sweep)))
    assert "6 jobs: 6 waiting" in page.text
    assert page.of("svg") == page.of("img") == []


def test_numbers_stand_on_their_axis_by_size() -> None:
    assert positions(["16", "8", "128", "8"]) == {"8": 0.0, "16": 0.5, "128": 1.0}
    assert positions(["1e-3", "3e-4"]) == {"3e-4": 0.0, "1e-3": 1.0}
    assert positions(["b", "a", "10"]) == {"b": 0.0, "a": 0.5, "10": 1.0}
    assert positions(["one"]) == {"one": 0.0}


def test_an_axis_of_one_value_is_left_out(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, [{"seed": "1", "system": "a"}, {"seed": "2", "system": "a"}])
    for number in (1, 2):
        finish(sweep, number, 1.0 / number)
    names = re.findall(r'class="name".*?>(.*?)</text>', parallel_coordinates(sweep.plan.jobs, results_of(sweep)))
    assert names == ["seed", "val/loss"]


def test_equal_results_and_a_single_job_can_be_drawn(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, VALUES[:2])
    finish(sweep, 1, 0.5)
    assert "0.5</text>" in re.sub(
        r"<title>.*?</title>", "", parallel_coordinates(sweep.plan.jobs[:1], results_of(sweep))
    )
    finish(sweep, 2, 0.5)
    assert parallel_coordinates(sweep.plan.jobs, results_of(sweep)).count("<polyline") == 2
