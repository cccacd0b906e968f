"""The stage `matting` on cases, with and without what it may lean on."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from framework import optional
from framework.artifacts.image import Image
from framework.pipeline.case import Case
from framework.pipeline.config import MattingConfig
from framework.pipeline.framing import object_box
from framework.pipeline.matting import Matting, usable_alpha
from framework.pipeline.stage import Context, StageError

NOISE = np.random.default_rng(0).random((40, 60, 3)).astype(np.float32)


def opaque_square(colour: float = 0.0) -> np.ndarray:
    picture = np.ones((40, 60, 3), np.float32)
    picture[10:30, 20:40] = colour
    return picture


def transparent_square(opacity: float = 1.0) -> np.ndarray:
    picture = np.dstack([NOISE, np.zeros((40, 60), np.float32)])
    picture[10:30, 20:40, 3] = opacity
    return picture


def run(folder: Path, stage: Matting | None = None, **pictures: np.ndarray) -> Case:
    case = Case("a", folder)
    for name, pixels in pictures.items():
        case.write(name, Image(pixels))
    (stage or Matting(MattingConfig(size=50), Context())).run(case)
    return case


@pytest.mark.parametrize("picture", [opaque_square(), transparent_square(), transparent_square(254 / 255)])
def test_pictures_with_and_without_alpha(tmp_path: Path, picture: np.ndarray) -> None:
    foreground = run(tmp_path, input=picture).read("foreground")
    assert foreground.pixels.shape == (50, 50, 4)
    assert foreground.alpha.max() > 0.99
    assert object_box(foreground.pixels) == pytest.approx((5, 5, 45, 45), abs=1.5)


def test_alpha_that_says_nothing_is_no_alpha() -> None:
    solid = np.dstack([opaque_square(), np.full((40, 60), 254 / 255, np.float32)])
    assert usable_alpha(Image(solid)) is None
    assert usable_alpha(Image(opaque_square())) is None
    assert usable_alpha(Image(transparent_square(0.99))).max() == 1.0


def test_further_views_are_cut_out_at_the_same_scale(tmp_path: Path) -> None:
    wide = np.ones((40, 60, 3), np.float32)
    wide[10:30, 10:50] = 0.0
    case = run(tmp_path, input=opaque_square(), input_left=wide)
    heights = [np.diff(object_box(case.read(name).pixels)[1::2]) for name in ("foreground", "foreground_left")]
    assert heights[0] == pytest.approx(heights[1], abs=1)
    assert heights[0] == pytest.approx(20, abs=1)
    assert not case.has("foreground_right")


def test_an_invisible_object_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="front view: everything is transparent"):
        run(tmp_path, input=transparent_square(0.0))


def test_a_background_that_stays_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str, **_: str) -> None:
        raise optional.MissingExtra(package)

    monkeypatch.setattr(optional, "require", missing)
    with pytest.raises(StageError, match="can't be removed: only") as caught:
        run(tmp_path, input=NOISE)
    assert "pip install 'atelier3d[matting]'" in caught.value.hint


class FakeNetwork:
    """Stands for rembg and onnxruntime: takes the middle of the picture, or fails."""

    def __init__(self, error: BaseException | None = None, opacity: int = 255) -> None:
        self.error, self.opacity, self.sessions = error, opacity, 0

    def require(self, package: str, **_: str) -> object:
        return SimpleNamespace(new_session=self.new_session, remove=self.remove)

    def new_session(self) -> str:
        self.sessions += 1
        return "session"

    def remove(self, picture, session):  # type: ignore[no-untyped-def]
        if self.error is not None:
            raise self.error
        pixels = np.array(picture.convert("RGBA"))
        pixels[..., 3] = 0
        pixels[10:30, 20:40, 3] = self.opacity
        return Image.from_uint8(pixels).to_pil()


def test_the_network_is_asked_for_busy_backgrounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = FakeNetwork()
    monkeypatch.setattr(optional, "require", network.require)
    stage = Matting(MattingConfig(size=50), Context())
    for name in ("a", "b"):
        foreground = run(tmp_path / name, stage, input=NOISE).read("foreground")
        assert object_box(foreground.pixels) == pytest.approx((5, 5, 45, 45), abs=1.5)
    assert network.sessions == 1


@pytest.mark.parametrize(
    ("network", "text"),
    [
        (FakeNetwork(ConnectionError("no internet")), "rembg failed too \\(no internet\\)"),
        (FakeNetwork(SystemExit(1)), "rembg failed too"),
        (FakeNetwork(opacity=0), "rembg found no object either"),
    ],
)
def test_a_failing_network_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: FakeNetwork, text: str
) -> None:
    monkeypatch.setattr(optional, "require", network.require)
    with pytest.raises(StageError, match=text):
        run(tmp_path, input=NOISE)


@pytest.mark.parametrize("options", [{"ratio": 0.0}, {"ratio": 1.5}, {"size": 8}, {"size": 100_000}])
def test_wrong_options(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        MattingConfig(**options)  # type: ignore[arg-type]
