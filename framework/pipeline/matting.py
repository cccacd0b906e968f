"""The stage `matting`: from pictures as they come to cut-out, centred, square ones.

A picture that brings transparency is believed; else a plain background is cut away; else the network of the extra
`matting` is asked, if it is installed; else the case fails and says so.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from framework import optional
from framework.artifacts.image import Image
from framework.pipeline.background import BackgroundError, check_plausible, cut_out
from framework.pipeline.case import Case
from framework.pipeline.config import MattingConfig
from framework.pipeline.framing import VISIBLE, Floats, frame_views
from framework.pipeline.inputs import VIEWS, view_artifact
from framework.pipeline.stage import Context, Stage, StageError

PLAIN_HINT = (
    "Give a picture with a transparent or plain background, or install the matting network: "
    "pip install 'atelier3d[matting]'"
)

MIN_VISIBLE = 0.0005
"""Share of a transparent picture that has to be visible."""


class Matting(Stage):
    """Gives `foreground` for the picture of a case, and `foreground_<view>` for each further view that it has."""

    Config: ClassVar[type] = MattingConfig
    needs: ClassVar[Mapping[str, type]] = {"input": Image}
    uses: ClassVar[Mapping[str, type]] = {view_artifact("input", view): Image for view in VIEWS[1:]}
    gives: ClassVar[Mapping[str, type]] = {"foreground": Image}
    may_give: ClassVar[Mapping[str, type]] = {view_artifact("foreground", view): Image for view in VIEWS[1:]}
    config: MattingConfig

    def __init__(self, config: MattingConfig, context: Context) -> None:
        super().__init__(config, context)
        self.network = Network()

    def run(self, case: Case) -> None:
        """Write square RGBA pictures; the views of a case share one scale."""
        names = [view for view in VIEWS if case.has(view_artifact("input", view))]
        cut = {view: self.separate(case.read(view_artifact("input", view)), view) for view in names}
        for view, rgba in frame_views(cut, self.config.ratio, self.config.size).items():
            case.write(view_artifact("foreground", view), Image(rgba))

    def separate(self, image: Image, view: str) -> Floats:
        """Return (H, W, 4) RGBA of the object in `image`, straight alpha.

        view: name of the picture in errors. Raises StageError when the background can't be removed.
        """
        alpha = usable_alpha(image)
        if alpha is not None:
            if (alpha >= VISIBLE).mean() < MIN_VISIBLE:
                raise StageError(f"{view} view: everything is transparent", "Give a picture that shows the object")
            return np.where(alpha[..., None] > 0, np.dstack([image.rgb, alpha]), 0).astype(np.float32)
        try:
            return cut_out(image.rgb)
        except BackgroundError as error:
            reason = f"{view} view: the background can't be removed: {error}"
            return self.network.cut_out(image, reason)


def usable_alpha(image: Image) -> Floats | None:
    """Return (H, W) opacity if the picture really has transparency, else None.

    Opacity is stretched to reach 1: some tools write 254 for solid.
    """
    if image.alpha is None:
        return None
    highest = float(image.alpha.max())
    alpha = image.alpha / highest if highest >= 0.5 else image.alpha
    return alpha if (alpha < 0.999).any() else None


class Network:
    """The matting network of rembg, if the user installed it; read when it is first needed."""

    def __init__(self) -> None:
        self._package: ModuleType | None = None
        self._session: Any = None

    def cut_out(self, image: Image, reason: str) -> Floats:
        """Return (H, W, 4) RGBA; StageError that begins with `reason` (why the network is asked) when it can't."""
        try:
            # rembg ends the whole process when onnxruntime is missing, so that is asked for first.
            optional.require("onnxruntime", extra="matting", attribute="InferenceSession")
            self._package = self._package or optional.require("rembg", extra="matting", attribute="new_session")
        except optional.MissingExtra as error:
            raise StageError(reason, PLAIN_HINT) from error
        try:
            self._session = self._session or self._package.new_session()
            cut = Image.from_pil(self._package.remove(image.over().to_pil(), session=self._session)).with_alpha()
        except (OSError, RuntimeError, ValueError, SystemExit) as error:
            hint = "It downloads its network once, which needs the internet"
            raise StageError(f"{reason}; rembg failed too ({error})", hint) from error
        try:
            check_plausible(cut.pixels[..., 3] >= 0.5)
        except BackgroundError as error:
            raise StageError(f"{reason}; rembg found no object either ({error})", PLAIN_HINT) from error
        return cut.pixels
