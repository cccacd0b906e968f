"""The Lightning Trainer of a run, from its config."""

import logging
import warnings

import pytorch_lightning as pl
import torch
from rich.console import Console

from framework.systems.system import System
from framework.trainers.checkpoint_content import read_step
from framework.trainers.checkpoints import AtomicCheckpointIO, CountBatches, KeepCheckpoints, TakeNewOptions
from framework.trainers.config import LoggerConfig, TrainerConfig, parse_duration
from framework.trainers.divergence import StopOnDivergence
from framework.trainers.ema import EMA
from framework.trainers.loggers import RewindMetrics, build_loggers
from framework.trainers.pictures import WritePictures
from framework.trainers.progress import ShowProgress
from framework.trainers.randomness import SeedEveryStep
from framework.trainers.run_folder import RunFolder
from framework.trainers.stopping import StopOnSignal, TimeLimit
from framework.trainers.strategy import DEVICES, build_strategy, check, check_own_steps, check_processes


def build_trainer(
    config: TrainerConfig,
    logger_config: LoggerConfig,
    run_folder: RunFolder,
    seed: int,
    *,
    system: type[System] | System = System,
    device: str = "auto",
    console: Console | None = None,
) -> pl.Trainer:
    """Return the trainer that writes into `run_folder`.

    `system` says which metric decides the best checkpoint; `device` is auto, cpu, cuda or mps; progress goes to
    `console`, if any. Raises ValueError naming the option that can't be met on this machine.
    """
    _silence_lightning()
    check(config, device)
    check_processes(config, device)
    own_steps = isinstance(system, System) and not system.automatic_optimization
    if own_steps:
        check_own_steps(config)
    if config.matmul_precision != "highest" and torch.cuda.is_available():
        torch.set_float32_matmul_precision(config.matmul_precision)
    batches = config.val_interval * config.accumulate
    trainer = pl.Trainer(
        accelerator=DEVICES[device],
        devices=config.devices,
        num_nodes=config.num_nodes,
        strategy=build_strategy(config, device, own_steps=own_steps),
        precision=config.precision,
        max_steps=config.max_steps,
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.gradient_clip or None,
        # Steps, not epochs: the interval counts batches over the whole training.
        check_val_every_n_epoch=None,
        val_check_interval=batches or None,
        limit_val_batches=0 if not batches else 1.0 if config.val_batches is None else config.val_batches,
        num_sanity_val_steps=0,
        log_every_n_steps=config.log_interval,
        deterministic=config.deterministic or None,
        logger=build_loggers(logger_config, run_folder.path, read_step(run_folder.last_checkpoint) or 0),
        callbacks=_callbacks(config, run_folder, seed, system, console),
        plugins=[AtomicCheckpointIO(_shapes(system))],
        default_root_dir=run_folder.path,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    # Lightning's own answer to SIGTERM calls the other processes from inside the signal, which can hang for good.
    trainer._signal_connector._sigterm_notifier_fn = lambda signum, _: None  # type: ignore[method-assign]
    return trainer


def build_evaluator(config: TrainerConfig, seed: int, device: str = "auto") -> pl.Trainer:
    """Return a trainer for `validate` and `test` on one device: it logs nothing and writes nothing."""
    _silence_lightning()
    check(config, device)
    return pl.Trainer(
        accelerator=DEVICES[device],
        devices=1,
        precision=config.precision,
        limit_val_batches=1.0 if config.val_batches is None else config.val_batches,
        deterministic=config.deterministic or None,
        logger=False,
        callbacks=[SeedEveryStep(seed)],
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _shapes(system: type[System] | System) -> dict[str, tuple[int, ...]] | None:
    """Shapes of the weights that a checkpoint of this system has."""
    if isinstance(system, type):
        return None
    return {name: tuple(value.shape) for name, value in system.state_dict().items()}


def _callbacks(
    config: TrainerConfig, run_folder: RunFolder, seed: int, system: type[System] | System, console: Console | None
) -> list[pl.Callback]:
    """The order matters: the average is updated before anything is saved, and a stop is known before the last save."""
    callbacks: list[pl.Callback] = [SeedEveryStep(seed), CountBatches(), RewindMetrics(), TakeNewOptions()]
    if config.ema_decay:
        callbacks.append(EMA(config.ema_decay, config.ema_warmup))
    if config.image_interval:
        callbacks.append(WritePictures(run_folder.images, config.image_interval))
    callbacks.append(StopOnDivergence(run_folder, config.log_interval, patient=config.precision == "16-mixed"))
    if config.max_time:
        callbacks.append(TimeLimit(parse_duration(config.max_time)))
    if console is not None:
        callbacks.append(ShowProgress(console, config.log_interval))
    keep = KeepCheckpoints(
        run_folder.checkpoints, config.checkpoint_interval, system.monitor, system.mode, config.keep_interval
    )
    return [*callbacks, StopOnSignal(keep.save_last), keep]


def _silence_lightning() -> None:
    """What it says about devices and loops is either in our own progress or of no use to the reader."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for text in (".*does not have many workers.*", ".*ModelCheckpoint.*", ".*is smaller than the logging interval.*"):
        warnings.filterwarnings("ignore", text)
    for text in (
        ".*in eval mode at the start of training.*",
        ".*your dataloader is not resumable.*",
        ".*isinstance.treespec, LeafSpec.*",
    ):
        warnings.filterwarnings("ignore", text)
