"""The five published files. Sizes and MD5 are those that the authors' download program checks."""

from framework.registry import PublishedFile

LICENCE = "CC BY-NC-SA 4.0"


def _file(path: str, summary: str, drive: str, size: int, md5: str) -> PublishedFile:
    url = f"https://drive.google.com/file/d/{drive}/view"
    return PublishedFile(path=path, summary=summary, url=url, licence=LICENCE, size=size, md5=md5)


FFHQ_FULL = _file(
    "full_models/ffhq1024x1024.pt",
    "faces at 1024 pixels (stylesdf/full)",
    "13s_dH768zJ3IHUjySVbD1DqcMolqKlBi",
    202_570_217,
    "1ab9522157e537351fcf4faed9c92abb",
)
AFHQ_FULL = _file(
    "full_models/afhq512x512.pt",
    "animal faces at 512 pixels (stylesdf/full)",
    "1jZcV5__EPS56JBllRmUfUjMHExql_eSq",
    184_908_743,
    "91eeaab2da5c0d2134c04bb56ac5aeb6",
)
FFHQ_VOLUME = _file(
    "pretrained_renderer/ffhq_vol_renderer.pt",
    "renderer of the faces (stylesdf/volume)",
    "1zzB-ACuas7lSAln8pDnIqlWOEg869CCK",
    63_736_197,
    "fe62f26032ccc8f04e1101b07bcd7462",
)
AFHQ_VOLUME = _file(
    "pretrained_renderer/afhq_vol_renderer.pt",
    "renderer of the animal faces (stylesdf/volume)",
    "1xhZjuJt_teghAQEoJevAxrU5_8VqqX42",
    63_736_197,
    "cb3beb6cd3c43d9119356400165e7f26",
)
SPHERE = _file(
    "pretrained_renderer/sphere_init.pt",
    "renderer whose surface is a sphere, where a training begins (stylesdf/volume)",
    "1CcYWbHFrJyb4u5rBFx_ww-ceYWd309tk",
    63_736_197,
    "a6be653435b0e49633e6838f18ff4df6",
)
PUBLISHED = (FFHQ_FULL, AFHQ_FULL, FFHQ_VOLUME, AFHQ_VOLUME, SPHERE)
ANIMALS = (AFHQ_FULL, AFHQ_VOLUME)
"""Those that were trained with other cameras than the rest."""
