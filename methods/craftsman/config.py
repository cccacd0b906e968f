"""Options of CraftsMan's networks, systems and stages. Defaults are the official first generation unless said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from framework.config.choice import Choice
from framework.config.errors import ConfigError
from framework.config.registered import Registered
from framework.diffusion.config import NoiseScheduleConfig
from framework.nets.config import (
    ClipTextConfig,
    ClipVisionConfig,
    ViewEncoderConfig,
    check_heads,
    check_positive,
)
from framework.systems.config import OptimizerConfig


@dataclass(kw_only=True)
class ShapeVAEConfig:
    """Sizes of the shape autoencoder."""

    num_latents: int = 256
    """Latent vectors of a shape (without the extra token of the aligned variant)."""
    embed_dim: int = 64
    """Channels of a latent vector."""
    width: int = 768
    """Channels inside the transformer."""
    heads: int = 12
    """Attention heads."""
    encoder_layers: int = 8
    """Self-attention blocks of the encoder."""
    decoder_layers: int = 16
    """Self-attention blocks between latents and queries."""
    queries: Literal["learned", "fps"] = "learned"
    """How the encoder's queries arise: learned vectors, or points chosen by farthest-point sampling."""
    point_feats: int = 3
    """Features of a surface point beside its position: 3 for normals."""
    embed_point_feats: bool = False
    """Embed these three features as positions are, instead of taking them as they are."""
    out_dim: int = 1
    """Values per query point."""
    num_freqs: int = 8
    """Octaves of the Fourier embedding of points; 0: points are taken as they are."""
    include_pi: bool = False
    """Multiply the embedding's frequencies by pi."""
    qkv_bias: bool = False
    """Biases in the query, key and value projections."""
    init_scale: float = 0.25
    """Standard deviation of the initial weights, times sqrt(width)."""
    aligned_dim: int = 0
    """Size of the image-aligned shape embedding that one extra token gives; 0: not the aligned variant."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)
        check_positive(self, "num_latents", "embed_dim", "out_dim")

    @property
    def query_count(self) -> int:
        """Queries of the encoder: the latents, plus the token of the shape embedding in the aligned variant."""
        return self.num_latents + (1 if self.aligned_dim else 0)


@dataclass(kw_only=True)
class DenoiserConfig:
    """Sizes of the latent-set denoiser."""

    latents: int = 256
    """Latent vectors; only read with `latent_positions`."""
    latent_channels: int = 64
    """Channels of a latent vector, in and out."""
    width: int = 768
    """Channels inside the transformer."""
    layers: int = 6
    """Blocks before the middle one, and as many after it."""
    heads: int = 12
    """Attention heads."""
    context_dim: int = 1024
    """Channels of a condition token."""
    context_ln: bool = True
    """Normalise condition tokens before their projection."""
    skip_ln: bool = True
    """Normalise after each skip connection."""
    qkv_bias: bool = False
    """Biases in the query, key and value projections."""
    init_scale: float = 1.0
    """Standard deviation of the initial weights, times sqrt(width)."""
    flip_sin_to_cos: bool = False
    """Cosines before sines in the timestep embedding."""
    latent_positions: bool = False
    """Tell latents apart by a learned vector each (the original does not; small models need it)."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""

    def __post_init__(self) -> None:
        check_heads(self.width, self.heads)
        check_positive(self, "latents", "latent_channels", "context_dim")


@dataclass(kw_only=True)
class ClipViewsConfig:
    """The view encoder `craftsman/clip`: CLIP's vision tower, told by modulation where a view was taken."""

    vision: ClipVisionConfig = field(default_factory=ClipVisionConfig)
    """The vision tower."""
    text: ClipTextConfig | None = None
    """The text tower and the projections, which published checkpoints carry and nothing here reads; null: left out."""
    camera_modulation: bool = True
    """Scale and shift normalised tokens by what the view's camera says."""
    unconditional: Literal["black", "zeros"] = "black"
    """What stands for no picture: the tower's tokens of a black picture without modulation, or zeros."""
    normalize: bool = False
    """Scale each token to length 1."""
    freeze: bool = True
    """Keep CLIP's own weights; text tower and projections are never trained."""
    freeze_modulation: bool = False
    """Keep the modulation's weights too."""
    checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    weights: str = ""
    """CLIP that a new training begins with, as transformers saves it: a folder with `model.safetensors` or a hub id."""


def _default_encoder() -> Choice:
    return Choice("vit", ViewEncoderConfig())


@dataclass(kw_only=True)
class AutoencoderConfig:
    """The system `craftsman/autoencoder`: trains the shape autoencoder on surface and volume samples."""

    shape_model: ShapeVAEConfig = field(default_factory=ShapeVAEConfig)
    """The network."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser and learning-rate schedule."""
    lambda_logits: float = 1.0
    """Weight of the occupancy cross-entropy."""
    lambda_kl: float = 0.001
    """Weight of the divergence from the standard normal prior."""
    sample_posterior: bool = True
    """Decode a posterior sample in training (validation always decodes the mean)."""
    mean_share: float = 0.0
    """Share of training items that decode the mean all the same. At 0, as in the original, a small model can come to
    say with the noise's strength what the mean then lacks: a whole family was decoded well from samples only."""


@dataclass(kw_only=True)
class DiffusionConfig:
    """The system `craftsman/diffusion`: trains the denoiser under image conditions, on the autoencoder's latents."""

    autoencoder: str = ""
    """Weights of the autoencoder whose latents are denoised: a run id, a folder, a hub id or an official checkpoint."""
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    """The denoising network."""
    denoiser_weights: str = ""
    """Denoiser that a new training begins with: an official checkpoint (whole, or of the denoiser alone) or a folder
    with weights of this system."""
    view_encoder: Annotated[Any, Registered("encoder", default="vit")] = field(default_factory=_default_encoder)
    """The image encoder: `type: vit`, trained from scratch, or `type: craftsman/clip`, the published one."""
    schedule: NoiseScheduleConfig = field(default_factory=NoiseScheduleConfig)
    """Noise levels and what the network predicts."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Optimiser and learning-rate schedule."""
    loss: Literal["mse", "l1"] = "mse"
    """Error measure of the prediction."""
    snr_gamma: float = 5.0
    """Min-SNR weighting (Hang et al. 2023); 0: every noise level weighs the same."""
    occupancy_weight: float = 0.0
    """Weight of a second loss: the occupancy cross-entropy at a batch's points of the clean latents that a prediction
    implies, decoded by the frozen autoencoder. 0, as in the original: none. Errors of latents differ much in what they
    do to a shape, and a small model has to spend itself on those that matter."""
    timestep_power: float = 1.0
    """Training timesteps are T * u^(1 / power) with u uniform in [0, 1): 1 is uniform, a larger power prefers the noisy
    ones. Many latents say the same thing about a shape, so it shows through much noise, and only where it does not
    can the picture be learned from."""
    condition_dropout: float = 0.1
    """Share of items trained without condition, for classifier-free guidance."""
    condition_drop: Literal["item", "batch"] = "item"
    """Draw for each item whether its condition is dropped, or once for the whole batch, as the original did."""
    latent_scale: float = 1.0
    """Factor on the latents before noise is added."""
    normalize_latents: bool = False
    """Shift and scale each latent entry to mean 0 and deviation 1 over the training set (the statistics are saved with
    the weights)."""
    random_views: bool = False
    """Train on the front view and a random number of the others instead of on all views."""
    refit_views: float = 0.0
    """Share of training items whose views are scaled to fill `view_fill` of the picture, as users' pictures are; the
    others keep the frame of their cameras, which tells the object's size."""
    view_fill: float = 0.75
    """Longest side of a refitted object as a share of the picture's."""
    recolor_views: float = 0.0
    """Change the colours of training views: channels change places and are scaled by up to this share. 0: never."""
    jitter_views: float = 0.0
    """Move and scale training views by up to this share of their side."""
    token_dropout: float = 0.0
    """Share of the condition's tokens left out in training, each by its own draw."""
    validation_steps: int = 20
    """Denoising steps of the samples drawn in validation."""
    validation_guidance: float = 1.0
    """Guidance of the samples drawn in validation."""


@dataclass(kw_only=True)
class LatentsConfig:
    """The data module `craftsman/latents`: another set, encoded once by the autoencoder and kept in a file."""

    source: Annotated[Any, Registered("data")] = None
    """The set whose shapes are encoded and whose views are the condition."""
    autoencoder: str = ""
    """Weights of the autoencoder: a run id, a folder, a hub id, or an official checkpoint."""
    root: str = "outputs/cache"
    """Folder of the cache; the file's name holds a hash of weights, set and sizes."""
    batch_size: int = 32
    """Items of a batch in each process; a step takes `trainer.accumulate` batches of all processes."""
    workers: int = 0
    """Loader processes."""
    surface_points: int = 4096
    """Surface points that the encoder reads."""
    supervision_points: int = 0
    """Points with occupancy of a training item, drawn from those that the cache holds; 0: none."""
    views: int = 4
    """Views kept of each object: the first of front, right, back, left."""
    variants: int = 1
    """How many times each training object is encoded: as often as the source's first epochs draw it, each time in its
    own way, e.g. with `data.source.stretch`."""
    seed: int = 0
    """Seed of the order of items."""


@dataclass(kw_only=True)
class CleanupConfig:
    """The stage `craftsman/cleanup`: the published preparation of pictures, in place of the stage `matting`."""

    mode: Literal["original", "alpha_as_mask", "remove"] = "remove"
    """`original` leaves pictures as they are (as the views that users gave were left), `alpha_as_mask` puts what is
    not transparent over `color`, `remove` makes the background transparent."""
    ratio: float = 1.0
    """Factor on the picture's size before it is made square: below 1 leaves a margin."""
    color: tuple[int, int, int, int] = (127, 127, 127, 255)
    """Background of `alpha_as_mask`: red, green, blue, opacity in 0 to 255."""

    def __post_init__(self) -> None:
        if not 0.05 <= self.ratio <= 1.0:
            raise ConfigError("ratio", f"is {self.ratio}, expected 0.05 to 1.0.")
        if not all(0 <= value <= 255 for value in self.color):
            raise ConfigError("color", f"is {self.color}, expected four numbers from 0 to 255.")


@dataclass(kw_only=True)
class ViewsConfig:
    """The stage `craftsman/views`: the foreground and the user's other views, as one set."""

    size: int = 96
    """Side of a view in pixels: that of the image encoder."""
    resampling: Literal["lanczos", "clip"] = "lanczos"
    """`lanczos` keeps transparency; `clip` is CLIP's published preprocessing: over white, shorter side scaled
    (bicubic, in 8 bits), the square in the middle cut out."""


@dataclass(kw_only=True)
class ExtractionConfig:
    """From occupancy logits to a mesh."""

    depth: int = 7
    """The grid has 2^depth + 1 points per axis."""
    bounds: float = 1.05
    """Half side of the cube that the grid covers."""
    exact: bool = False
    """Evaluate every grid point instead of refining near the surface."""
    grid_mapping: Literal["exact", "official"] = "exact"
    """How grid indices become positions: `official` repeats the original's slight shrinkage."""
    faces: int = 0
    """Simplify to this many faces; 0 keeps all."""
    largest_component: bool = False
    """Keep the largest connected part only."""


@dataclass(kw_only=True)
class ShapeConfig:
    """The stage `craftsman/shape`: samples a latent set under the views, and extracts its mesh."""

    steps: int = 50
    """Denoising steps."""
    guidance: float = 7.5
    """Classifier-free guidance: 1 follows the condition alone, 0 ignores it."""
    eta: float = 0.0
    """Share of fresh noise per step: 0 is deterministic (DDIM), 1 is ancestral (DDPM)."""
    latents: int | None = None
    """Latent vectors to sample; null: as many as the encoder has queries. The published aligned weights sample 257 so,
    though they were trained on 256."""
    extraction: ExtractionConfig = field(default_factory=ExtractionConfig)
    """From the field to the mesh."""
