"""Ellipsoids: a picture's outline becomes the ellipsoid that is nearest to it."""

from framework.registry import Entry, MethodSpec

SPEC = MethodSpec(
    name="ellipsoids",
    summary="image -> the ellipsoid with the nearest outline",
    licence="Apache-2.0 (code and weights)",
    systems={
        "outline": Entry(
            "atelier3d_ellipsoids.systems:OutlineSystem",
            "atelier3d_ellipsoids.config:OutlineConfig",
            "outline -> centre and radii",
        ),
    },
    stages={
        "solid": Entry(
            "atelier3d_ellipsoids.stages:Solid",
            "atelier3d_ellipsoids.config:SolidConfig",
            "makes the mesh of the ellipsoid that the outline tells of",
        ),
    },
    data={
        "outlines": Entry(
            "atelier3d_ellipsoids.data:OutlinesData",
            "atelier3d_ellipsoids.config:OutlinesConfig",
            "outlines of random ellipsoids, made on the fly",
        ),
    },
    pipeline=("matting", "ellipsoids/solid"),
    trials=(
        "train experiment=ellipsoids/small data.val=8",
        "predict method=ellipsoids/small method.stages.solid.resolution=12",
        "predict method=ellipsoids/small method.stages.solid.resolution=12 weights.outline=outline",
    ),
)
