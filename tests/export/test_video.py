"""Films: frames come back in order, odd sizes grow, and a failing generator leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from framework.export import video
from framework.export.video import make_video, save_video
from framework.optional import MissingExtra, has


def frames(count: int = 6, height: int = 48, width: int = 64) -> Iterator[np.ndarray]:
    """Grey pictures that grow lighter, with a red left half."""
    for number in range(count):
        frame = np.full((height, width, 3), 30 + 30 * number, np.uint8)
        frame[:, : width // 2] = (200, 20, 20)
        yield frame


@pytest.fixture
def without_av(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "has", lambda package, attribute=None: False)


def test_mp4(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="extra 'video': av")
    path = save_video(frames(), tmp_path / "film.v2", fps=12)
    assert path.name == "film.v2.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == 12
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == 6
    for got, expected in zip(decoded, frames(), strict=True):
        assert np.abs(got[:, 40:].astype(int) - expected[:, 40:]).max() < 8
        assert np.abs(got[:, :24].astype(int) - expected[:, :24]).max() < 12


def test_quality(tmp_path: Path) -> None:
    pytest.importorskip("av", reason="extra 'video': av")
    noisy = [np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)]
    sizes = [save_video(noisy, tmp_path / f"film{crf}", crf=crf).stat().st_size for crf in (1, 18, 40)]
    assert sizes[0] > sizes[1] > sizes[2]
    with pytest.raises(ValueError, match="crf is 52, expected 0"):
        save_video(noisy, tmp_path / "film", crf=52)


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_a_film_as_an_artifact(kind: Literal["gif", "mp4"], tmp_path: Path) -> None:
    if kind == "mp4":
        pytest.importorskip("av", reason="extra 'video': av")
    film = make_video(frames(2), 12, kind, crf=10)
    assert film.suffix == f".{kind}"
    assert film.content == save_video(frames(2), tmp_path / "film", 12, kind, crf=10).read_bytes()


def test_odd_sizes_grow_by_a_pixel(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="extra 'video': av")
    with av.open(str(save_video(frames(2, 33, 47), tmp_path / "film"))) as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.height) == (48, 34)


def test_a_gif_where_it_is_asked_for(tmp_path: Path) -> None:
    assert save_video(frames(), tmp_path / "film", kind="gif").name == "film.gif"
    if not has("av"):
        with pytest.raises(MissingExtra, match="an MP4 needs"):
            save_video(frames(), tmp_path / "film", kind="mp4")


@pytest.mark.usefixtures("without_av")
def test_gif_without_av(tmp_path: Path) -> None:
    path = save_video(frames(), tmp_path / "film", fps=20)
    assert path.name == "film.gif"
    with Image.open(path) as film:
        assert film.n_frames == 6 and film.size == (64, 48) and film.info["duration"] == 50 and film.info["loop"] == 0
        film.seek(5)
        last = np.asarray(film.convert("RGB"))
    assert abs(int(last[10, 10, 0]) - 200) < 12 and last[10, 60].max() > 60


@pytest.mark.usefixtures("without_av")
def test_one_frame_is_a_film_too(tmp_path: Path) -> None:
    with Image.open(save_video(frames(1), tmp_path / "film")) as film:
        assert film.size == (64, 48)


def stumbling() -> Iterator[np.ndarray]:
    yield from frames(2)
    raise RuntimeError("out of memory")


@pytest.mark.parametrize("as_gif", [False, True])
def test_nothing_is_left_of_a_film_that_fails(tmp_path: Path, as_gif: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if as_gif:
        monkeypatch.setattr(video, "has", lambda package, attribute=None: False)
    with pytest.raises(RuntimeError, match="out of memory"):
        save_video(stumbling(), tmp_path / "film")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "fps", "message"),
    [
        ([], 24, "no frames"),
        ([np.zeros((4, 4, 4), np.uint8)], 24, r"frame 0 is uint8 \(4, 4, 4\)"),
        ([np.zeros((4, 4, 3), np.float32)], 24, "frame 0 is float32"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)], 24, r"frame 1 .* like the first"),
        ([np.zeros((4, 4, 3), np.uint8)], 0, "fps is 0"),
    ],
)
def test_wrong_arguments(tmp_path: Path, given: list[np.ndarray], fps: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        save_video(given, tmp_path / "film", fps)
    assert not any(tmp_path.iterdir())
