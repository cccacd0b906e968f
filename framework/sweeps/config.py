"""Options of sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field

from framework.config.errors import ConfigError


@dataclass(kw_only=True)
class SweepOptions:
    """How the jobs of a sweep (`-m`, a process for each) share this machine."""

    parallel: int | None = None
    """Jobs at once; by default 1, or as many as there are `devices`. CPU cores are divided among them, unless
    OMP_NUM_THREADS is set."""
    devices: list[int | str] = field(default_factory=list)
    """GPUs, one job on each at a time: `[0,1]`; for jobs on several GPUs `['0,1','2,3']`. By default every job sees all
    of them."""

    def __post_init__(self) -> None:
        if self.parallel is not None and self.parallel < 1:
            raise ConfigError("parallel", f"is {self.parallel}, expected at least 1.")
        if self.devices and self.slots > len(self.devices):
            raise ConfigError("parallel", f"is {self.parallel}, but devices has places for {len(self.devices)} jobs.")

    @property
    def slots(self) -> int:
        """Jobs at once."""
        return self.parallel or len(self.devices) or 1
