"""Nothing half-written ever stands under its final name."""

import subprocess
import sys
from pathlib import Path

import pytest

from framework.artifacts.atomic import atomic_file, atomic_folder, write_json, write_text


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = write_text(tmp_path / "deep" / "note.txt", "text")
    assert path.read_text() == "text"
    assert [item.name for item in path.parent.iterdir()] == ["note.txt"]


def test_a_failed_file_leaves_the_old_one_and_no_rest(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"value": 1})
    with pytest.raises(OSError, match="full"), atomic_file(path) as temporary:
        temporary.write_text("half")
        raise OSError("full")
    assert path.read_text() == '{\n  "value": 1\n}\n'
    assert [item.name for item in tmp_path.iterdir()] == ["a.json"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """Two processes count up in a file; without a lock they would read the same numbers."""
    code = (
        "import sys, time; from pathlib import Path; from framework.artifacts.atomic import one_at_a_time\n"
        "path = Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    with one_at_a_time(path / 'lock'):\n"
        "        number = int((path / 'number').read_text()); time.sleep(0.002)\n"
        "        (path / 'number').write_text(str(number + 1))\n"
    )
    (tmp_path / "number").write_text("0")
    processes = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert (tmp_path / "number").read_text() == "40"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "views"
    folder.mkdir()
    (folder / "old.png").write_text("old")
    with atomic_folder(folder) as temporary:
        (temporary / "new.png").write_text("new")
    assert [item.name for item in folder.iterdir()] == ["new.png"]
    assert [item.name for item in tmp_path.iterdir()] == ["views"]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "views"
    folder.mkdir()
    (folder / "old.png").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "new.png").write_text("new")
        raise RuntimeError
    assert [item.name for item in folder.iterdir()] == ["old.png"]
    assert [item.name for item in tmp_path.iterdir()] == ["views"]


def test_a_folder_takes_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "views").write_text("a file")
    with atomic_folder(tmp_path / "views") as temporary:
        (temporary / "new.png").write_text("new")
    assert (tmp_path / "views" / "new.png").is_file()
    assert len(list(tmp_path.iterdir())) == 1


def test_files_get_the_usual_permissions(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "a.bin") as temporary:
        temporary.touch(mode=0o600)
    (tmp_path / "b.bin").touch()
    assert (tmp_path / "a.bin").stat().st_mode == (tmp_path / "b.bin").stat().st_mode


def test_files_of_a_folder_have_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_bytes(b"")
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "private").touch(mode=0o600)
    assert (tmp_path / "folder" / "inner" / "private").stat().st_mode == (tmp_path / "usual").stat().st_mode
