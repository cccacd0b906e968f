"""Options of continuous remeshing. Imports no torch, so that a wrong option is reported before torch is loaded."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class RemeshingConfig:
    """How vertices move and how long their edges should be; the defaults are those of the paper."""

    learning_rate: float = 0.3
    """Step of a vertex whose gradient always points the same way, as a share of its edge length."""

    betas: tuple[float, float, float] = (0.8, 0.8, 0.0)
    """How much of the past stays in the mean gradient, in its mean square and in the relative speed."""

    shortest_edge: float = 0.01
    """Lower limit of the edge length, in units of the mesh."""

    longest_edge: float = 0.15
    """Upper limit of the edge length, which is what every vertex starts with."""

    tolerance: float = 0.5
    """Edges are left alone within 1 - tolerance to 1 + tolerance times the wanted length."""

    gain: float = 0.2
    """How fast the wanted length follows the speed: a vertex that moves steadily gets longer edges, one that trembles
    shorter ones."""

    speed: float = 0.3
    """Relative speed at which the wanted length stays as it is."""

    shared_length: bool = False
    """One wanted length for the whole mesh, following the mean speed, instead of one for each vertex."""

    smoothing: float = 0.02
    """Weight of the Laplacian, which draws a vertex to the mean of its neighbours."""

    keep_shape: bool = False
    """Smooth towards the curvature that the mesh had at the start (relative Laplacian), which keeps the volume, instead
    of towards flatness, which shrinks it."""

    ramp: float = 1.0
    """Steps until the full learning rate is reached, in multiples of 1 / (1 - first beta)."""

    gradient_limit: float = 10.0
    """From the second step on a gradient counts for at most this many times the mean gradient, component by
    component."""

    most_vertices: int = 1_000_000
    """A larger mesh is not split further."""

    stable: bool = True
    """Ties are broken the same way everywhere; False leaves them to an unstable sort, as released programs do: for
    comparisons only."""

    def __post_init__(self) -> None:
        if not 0 < self.shortest_edge <= self.longest_edge:
            limits = f"shortest_edge is {self.shortest_edge}, longest_edge {self.longest_edge}"
            raise ValueError(f"{limits}: expected 0 < shortest_edge <= longest_edge")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}, expected a share between 0 and 1")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}, expected three shares of at least 0 and below 1")
