"""Options of the data modules. Imports no torch and no numpy, so that a wrong option is reported first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from framework.config.errors import ConfigError


@dataclass(kw_only=True)
class PrepareShapesConfig:
    """How `prepare data=shapes` makes a set."""

    pack: Literal["none", "lmdb"] = "none"
    """Write one folder per object, or all objects into `data.lmdb`."""
    surface_samples: int = 100_000
    """Surface points kept of each object."""
    volume_samples: int = 100_000
    """Points kept uniform in the volume around each object."""
    near_samples: int = 50_000
    """Points kept close to the surface of each object (a file of our own, `near.npz`); 0: none."""
    view_groups: int = 1
    """Groups of four rendered views: the first level, each further one with a random rotation; 0: no views."""
    view_size: int = 224
    """Side of a rendered view in pixels."""
    half_extent: float = 0.9
    """The longest side of an object reaches from minus to plus this in the box [-1, 1]^3."""
    val_fraction: float = 0.05
    """Share of the objects for validation."""
    test_fraction: float = 0.05
    """Share of the objects for the test."""
    workers: int = 2
    """Processes; each holds one mesh at a time."""
    check: bool = True
    """Read every object back, also those of an earlier run, and report those that can't be used."""

    def __post_init__(self) -> None:
        if min(self.val_fraction, self.test_fraction) < 0 or self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction and test_fraction must not be negative and leave something to train on")
        if not 0 < self.half_extent <= 1:
            raise ValueError(f"half_extent is {self.half_extent}, expected more than 0 and at most 1")
        if min(self.surface_samples, self.volume_samples, self.view_size, self.workers) < 1:
            raise ValueError("surface_samples, volume_samples, view_size and workers must be at least 1")
        if self.near_samples < 0 or self.view_groups < 0:
            raise ValueError("near_samples and view_groups must not be negative")


@dataclass(kw_only=True)
class ShapeItemsConfig:
    """What every data module of shapes lets one choose: batches, and what an item holds."""

    batch_size: int = 16
    """Items of a batch in each process; a step takes `trainer.accumulate` batches of all processes."""
    workers: int = 0
    """Loader processes; 0 loads in the training process (best with `cache=memory`)."""
    cache: Literal["none", "memory"] = "none"
    """Keep every object's arrays in memory after its first use (2 to 3 MB for 100,000 points and no views)."""
    surface_points: int = 4096
    """Surface points of an item, drawn without replacement."""
    supervision_points: int = 4096
    """Points with occupancy of an item."""
    validation_points: int = 10_000
    """Points with occupancy of an item in validation and test, all of them uniform in the volume."""
    near_fraction: float = 0.0
    """Share of the supervision points drawn close to the surface, where the set has such points."""
    noise: float = 0.0
    """Half width of uniform noise added to surface points in training."""
    mirror: float = 0.0
    """Share of training items mirrored left to right, views included."""
    stretch: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Training items are scaled along x, y and z by random factors of up to 1 + this and down to the inverse, views
    included; then as a whole, so that their longest side stays. Needs level views, and no distances."""
    views: int = 0
    """Views of an item: the first of front, right, back, left."""
    view_size: int = 0
    """Side of a view in pixels; files of another size are resampled; 0: as in the files."""
    view_groups: Literal["first", "all"] = "first"
    """Views of training items: from level cameras only, or from any of the set's groups of four."""
    seed: int = 0
    """Seed of the order of items and of what is drawn from them."""

    def __post_init__(self) -> None:
        if not 0 <= self.views <= 4:
            raise ValueError(f"views is {self.views}, expected 0 to 4")
        for name in ("near_fraction", "mirror"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a share from 0 to 1")
        if min(self.stretch) < 0 or (any(self.stretch) and self.view_groups == "all"):
            raise ValueError(f"stretch is {self.stretch}, expected none below 0, and all 0 with view_groups=all")
        if min(self.batch_size, self.surface_points, self.supervision_points, self.validation_points) < 1:
            raise ValueError("batch_size, surface_points, supervision_points, validation_points must be at least 1")
        if self.workers < 0 or self.view_size < 0 or self.noise < 0 or self.seed < 0:
            raise ValueError("workers, view_size, noise and seed must not be negative")
        if self.cache == "memory" and self.workers:
            raise ValueError(
                "cache=memory works in the training process: each loader process would fill one. Set workers=0"
            )


@dataclass(kw_only=True)
class ShapesConfig(ShapeItemsConfig):
    """The data module `shapes`: surface points, occupancy samples and views of objects in files."""

    root: str = ""
    """Folder with train.json, val.json, test.json, or with data.lmdb."""
    geometry: str = ""
    """Folder that the lists' paths are relative to; empty: root."""
    images: str = ""
    """Folder of the views; empty: `images` inside root."""
    prepare: PrepareShapesConfig = field(default_factory=PrepareShapesConfig)
    """How `prepare data=shapes` makes a set; training doesn't read it."""


# The procedural set: `framework/data/procedural/`.


@dataclass(kw_only=True)
class ProceduralConfig(ShapeItemsConfig):
    """The data module `procedural`: objects made from a seed, written once as files and read like other shapes."""

    train: int = 2800
    """Objects for training, in equal shares of the families."""
    val: int = 56
    """Objects for validation."""
    test: int = 112
    """Objects for the test; the first ones stay the same whatever the number."""
    root: str = "datasets/procedural"
    """Folder of all procedural sets; each recipe and size has its own folder in it."""
    samples: int = 20_000
    """Points kept of each object: on the surface, in the volume, and near the surface."""
    render_size: int = 96
    """Side of the four views that are rendered of each object, in pixels."""
    processes: int = 2
    """Processes that make objects, about 0.2 s each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.train, self.val, self.test) < 0 or self.train + self.val + self.test == 0:
            raise ValueError("train, val and test must not be negative and not all 0")
        wanted = max(self.surface_points, self.supervision_points, self.validation_points)
        if self.samples < wanted:
            raise ValueError(f"samples is {self.samples}, but items want up to {wanted} points of an object")
        if self.render_size < 8 or self.processes < 0 or self.seed > 999:
            raise ValueError("render_size must be at least 8, processes not negative, seed at most 999")


@dataclass(kw_only=True)
class ImageLmdbConfig:
    """The data module `image_lmdb`: square pictures at several sizes, each with a thumbnail. No labels, no cameras."""

    root: str = ""
    """Folder of the set: one that `prepare data=image_lmdb` wrote, or an LMDB folder in the published layout."""
    resolution: int | None = None
    """Size of the pictures that are read; null: the smallest in the set of at least `thumb_resolution`."""
    thumb_resolution: int = 64
    """Side of the thumbnail, made from the picture; 0: none."""
    image: bool = True
    """Items have the picture; else only its thumbnail."""
    flip: bool = True
    """Half of the training items are mirrored left to right."""
    batch_size: int = 8
    """Items of a batch in each process; a step takes `trainer.accumulate` batches of all processes."""
    workers: int = 0
    """Loader processes; 0 loads in the training process (best with `cache=memory`)."""
    cache: Literal["none", "memory"] = "none"
    """Keep what items are made of in memory after its first use, decoded; with `flip` the mirrored items too."""
    val_fraction: float = 0.02
    """Share of the pictures for validation, by a fixed rule of the index, where the set has no lists of its own."""
    test_fraction: float = 0.0
    """Share of the pictures for the test, likewise."""
    seed: int = 0
    """Seed of the order of items and of which are mirrored."""
    sizes: tuple[int, ...] = (64, 512, 1024)
    """Only for `prepare`: sides of the squares that are made of each picture."""
    resample: Literal["lanczos", "bilinear"] = "lanczos"
    """Only for `prepare`: the filter that pictures are resized with."""
    processes: int = 2
    """Only for `prepare`: processes that read and resize pictures."""
    write_lists: bool = False
    """Only for `prepare`: write `val.json` and `test.json` by the shares above, which fixes them for good."""

    def __post_init__(self) -> None:
        if (
            not self.sizes
            or len(set(self.sizes)) != len(self.sizes)
            or not all(1 <= each <= 8000 for each in self.sizes)
        ):
            raise ConfigError("sizes", f"is {list(self.sizes)}, expected different sizes from 1 to 8000.")
        if self.resolution is not None and self.resolution < max(1, self.thumb_resolution):
            raise ConfigError("resolution", f"is {self.resolution}, expected at least 1 and thumb_resolution.")
        if self.thumb_resolution < 0 or (not self.image and self.thumb_resolution == 0):
            raise ConfigError("thumb_resolution", "must be at least 1, or 0 for none; with image=false one is needed.")
        if min(self.val_fraction, self.test_fraction) < 0 or self.val_fraction + self.test_fraction >= 1:
            raise ConfigError("val_fraction", "and test_fraction must not be negative and leave some to train on.")
        if self.batch_size < 1 or self.processes < 1:
            raise ConfigError("batch_size", "and processes must be at least 1.")
        if self.workers < 0 or self.seed < 0:
            raise ConfigError("workers", "and seed must not be negative.")
        if self.cache == "memory" and self.workers:
            raise ConfigError(
                "cache", "is memory, which works in the training process: each loader would fill one. Set workers=0."
            )
