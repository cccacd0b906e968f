"""The program: exit codes, streams, and that help, list and errors answer fast and without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from framework import registry
from framework.cli import main
from framework.config.compose import choices
from framework.optional import MissingExtra
from framework.registry import Entry

ROOT = Path(__file__).parent.parent.parent
METHOD = choices("method")[0]
SYSTEM = choices("system")[0]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 0),
        (["--help"], 0),
        (["train", "--help"], 0),
        (["train", f"system={SYSTEM}", "-h"], 0),
        (["--version"], 0),
        (["list", "methods"], 0),
        (["list", "experiments"], 0),
        (["list", "systems", "nothing*"], 1),
        (["predict", f"method={METHOD}", "input=x.png", "--cfg"], 0),
        (["train", "-m", f"system={SYSTEM}", "data=shapes", "seed=1,2", "--cfg"], 0),
        (["train", "-m", f"system={SYSTEM}", "data=shapes", "seed=1"], 2),
        (["predict", f"method={METHOD}"], 2),
        (["predict", "method=nothing"], 2),
        (["train", f"system={SYSTEM}", "system.widht=3", "data=shapes"], 2),
        (["train", "run=nothing"], 2),
        (["nothing"], 2),
    ],
)
def test_answers_come_without_torch(words: list[str], code: int) -> None:
    """What makes an answer slow is importing; `benchmarks/answers.py` measures the seconds."""
    program = (
        "import sys; from framework.cli import main; code = main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules; assert 'numpy' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert (done.stderr.startswith("error: ")) == (code == 2)
    assert bool(done.stdout) == (code != 2)


def test_launch_script_runs_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "launch.py"), "list", "systems"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert SYSTEM in done.stdout


def test_help_shows_the_options_of_what_is_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", f"system={SYSTEM}", "--help"]) == 0
    text = capsys.readouterr().out
    assert "trainer.max_steps" in text
    assert "system.optimizer.learning_rate" in text
    assert "experiment=" in text


def test_resolved_options_are_accepted_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["predict", f"method={METHOD}", "input=a: ${b}.png", "--cfg"]) == 0
    text = capsys.readouterr().out
    (tmp_path / "config.yaml").write_text(text)
    assert main(["predict", f"run={tmp_path}", "--cfg"]) == 0
    assert capsys.readouterr().out == text.replace("run: null", f"run: {tmp_path}")


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("no good"), 1), (OSError("no disk"), 1), (MissingExtra("no package"), 1), (KeyboardInterrupt(), 130)],
)
def test_errors_of_a_verb(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: object) -> int:
        raise error

    monkeypatch.setattr(registry, "load_class", lambda kind, name: fail)
    assert main(["doctor"]) == code
    assert capsys.readouterr().err == (f"error: {error}\n" if code == 1 else "")
    if code == 1:
        with pytest.raises(type(error)):
            main(["doctor", "--traceback"])


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(options: object) -> int:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(registry, "load_class", lambda kind, name: fail)
    with pytest.raises(RuntimeError):
        main(["doctor"])


def test_code_that_fails_to_import_is_an_error_with_its_cause(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = Entry("no_such_package:run", "framework.tasks.config:DoctorOptions")
    monkeypatch.setattr(registry, "entry", lambda kind, name: entry)
    assert main(["doctor"]) == 1
    assert "'no_such_package:run' failed to import: ModuleNotFoundError" in capsys.readouterr().err
