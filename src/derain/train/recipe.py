"""The settings of a training run, as frozen dataclasses. `recipe_file` reads them from TOML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    Tag,
)

from derain.data.crops import MAX_WEIGHT, CropMix
from derain.data.pairs.folder import PairFolder
from derain.data.picture_cache import LIMIT_MIB
from derain.errors import RecipeError
from derain.network.configuration import LEVELS, PLNLINConfiguration
from derain.network.variants import get_unit
from derain.rivals.configuration import RivalConfiguration
from derain.train.manners import get_manner

Precision = Literal["32-true", "bf16-mixed"]
"""Precision of the computation. float16 is not offered: an overflowing gradient would end a run."""
Fraction = Annotated[float, Field(ge=0, le=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
MAX_THREADS = 4096
PLNLIN_TAG, RIVAL_TAG = "plnlin", "rival"
"""Pydantic's names for the two kinds of networks."""
MAX_FRAMES = 3
MIN_WINDOW_PX = 2
"""With smaller windows, nothing would be left of a crop at the fourth scale of the loss."""


@dataclass(frozen=True)
class Data:
    """The pictures that crops are drawn from."""

    root: str | None = None
    """Folder that all folders of data are relative to; itself relative to the current folder.
    Unset: the folder of the recipe file."""
    pairs: tuple[PairFolder, ...] = ()
    """Folders of rainy and clean pictures."""
    backgrounds: tuple[str, ...] = ()
    """Folders of rain-free pictures."""
    exclude: tuple[str, ...] = ()
    """Stems of backgrounds to leave out."""
    streaks: tuple[str, ...] = ()
    """Folders of streak masks, grey on black."""
    hard: tuple[str, ...] = ()
    """Folders of rain-free pictures that networks damage most easily (`derain data hard-crops`)."""
    crop_px: int = 112
    """Side of the square crops, so that every level holds whole windows: a multiple of 56, or of
    112 if network.unshuffle is 2, as in the preset `fast`."""
    aligned: bool = True
    """True if the neighbours of a frame are aligned with it, as when a clip is restored.
    Only networks for clips (network.frames = 3) see neighbours."""
    mix: CropMix = field(default_factory=CropMix)
    """How often each kind of crop is drawn, and how crops are augmented."""


@dataclass(frozen=True)
class Loss:
    """Equations (9) to (12).

    pixel + absolute * L1 + psnr * dB + alpha * hierarchical + beta * adversarial
    """

    pixel: NonNegativeFloat = 1.0
    """Weight of 1 - SSIM (equation 10)."""
    absolute: NonNegativeFloat = 0.0
    """Weight of the mean absolute error, which the paper does not use."""
    psnr: NonNegativeFloat = 0.0
    """Weight of minus the PSNR in dB, which the paper does not use."""
    alpha: NonNegativeFloat = 1.0
    """Weight of the hierarchical term."""
    level_weights: tuple[NonNegativeFloat, ...] = (0.1, 0.05, 0.02, 0.01)
    """lambda_k of equation (11), from full resolution down."""
    beta: NonNegativeFloat = 1.0
    """Weight of the adversarial term; 0 trains without a discriminator."""
    layer_weights: tuple[NonNegativeFloat, ...] = (0.0005, 0.001, 0.0025, 0.005)
    """mu_l of equation (12), from full resolution down."""
    own: bool = False
    """Train a rival (network.kind) with the loss of its authors instead of all terms above."""


@dataclass(frozen=True)
class Optimiser:
    """Adam, AdamW or Muon."""

    name: Literal["adam", "adamw", "muon"] = "adam"
    """`muon` is `derain.train.muon`."""
    learning_rate: NonNegativeFloat = 1e-4
    """Peak learning rate of both networks; `schedule` multiplies it."""
    betas: tuple[Decay, ...] = (0.9, 0.999)
    """Decay of the running means of gradients and of squared gradients.
    Muon's own momentum is 0.95."""
    weight_decay: NonNegativeFloat = 0.0
    """Decay of matrices and kernels, times the learning rate.
    `adam` adds it to the gradient; the others decouple it."""
    clip_norm: NonNegativeFloat = 0.0
    """Maximum norm of the gradient; 0 disables clipping."""
    batch: PositiveInt = 2
    """Crops in a step, over all processes."""
    ema: Decay = 0.0
    """Decay of the averaged weights, which are validated and exported; 0 uses the raw weights."""


@dataclass(frozen=True)
class Adversarial:
    """Algorithm 1: how often each network is updated.

    The text does not say which network is the frequent one; we update the generator more often.
    """

    manner: str = "mcddl"
    """What the discriminator sees and where it judges: a name in `manners.MANNERS`.
    All but the first are rows of Table 1."""
    generator_every: PositiveInt = 1
    """Update the generator in every n-th step."""
    discriminator_every: PositiveInt = 5
    """r: update the discriminator in every r-th step."""
    real_gradient: bool = False
    """Whether the generator also receives the gradient through the features of the clean picture.
    Equation (8) contains them, and the generator computes them. This costs a second backward pass.
    Our reading of the paper is that the real side is constant."""
    warmup_steps: NonNegativeInt = 0
    """Initial steps that update the discriminator every time, and the generator without its
    adversarial term. Weights trained without a discriminator should not face a random one."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the run, as a factor of `optimiser.learning_rate`."""

    kind: Literal["steps", "cosine", "trapezoid"] = "steps"
    """`steps` multiplies at each milestone; `cosine` decays along a half cosine to `last`.
    `trapezoid` stays constant and decays at the end; a run can be extended from a checkpoint made
    before the decay without any trace of it (Hu et al., arXiv 2404.06395)."""
    milestones: tuple[NonNegativeInt, ...] = ()
    """Steps at which the rate is multiplied by `factor`."""
    factor: Fraction = 0.1
    """Factor of each milestone."""
    last: Fraction = 1e-3
    """Factor at the end of a cosine or a trapezoid."""
    fall: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Fraction of the length over which a trapezoid decays."""
    warmup_steps: NonNegativeInt = 0
    """Initial steps over which the rate rises from zero."""
    by: Literal["steps", "hours"] = "steps"
    """Whether a cosine or a trapezoid follows the steps or the hours of training."""


@dataclass(frozen=True)
class Length:
    """The end of the run: whichever limit is reached first. 0 means no limit; set at least one."""

    steps: NonNegativeInt = 0
    """Updates, over all sessions of the run."""
    hours: NonNegativeFloat = 0.0
    """Hours of training over all sessions of the run, without validation and saving."""


@dataclass(frozen=True)
class Validation:
    """Held-out pairs that are restored whole and scored with protocol `paper` during the run."""

    pairs: tuple[PairFolder, ...] = ()
    """Folders of pairs. None: the weights are written without scores."""
    every_steps: NonNegativeInt = 0
    """Steps between validations. 0 here and in `every_minutes`: validate only at the end."""
    every_minutes: NonNegativeFloat = 0.0
    """Minutes between validations."""


@dataclass(frozen=True)
class Record:
    """The run folder, and how often checkpoint and log are written to it."""

    folder: str = "runs/run"
    """The run folder, relative to the current folder."""
    save_every_minutes: NonNegativeFloat = 10.0
    """Minutes between checkpoints: the most that a kill can lose."""
    log_every_steps: PositiveInt = 20
    """Steps between lines of the log; each line has the means over these steps."""


@dataclass(frozen=True)
class Machine:
    """Devices, processes and precision, passed to Lightning Fabric."""

    accelerator: str = "auto"
    """`cpu`, `cuda` or another of Fabric's accelerators; `auto` uses a GPU if there is one."""
    processes: PositiveInt = 1
    """Devices per machine; on a CPU, processes."""
    nodes: PositiveInt = 1
    """Machines."""
    threads: Annotated[int, Field(ge=0, le=MAX_THREADS)] = 0
    """CPU threads of each process; 0 divides the cores among the processes."""
    precision: Literal["auto", Precision] = "auto"
    """`auto` measures whether bfloat16 products are faster on this machine.
    The run's recipe.json and card record the choice."""
    workers: NonNegativeInt = 0
    """Processes that prepare crops; 0 prepares them in the training process."""
    cache_mib: PositiveInt = LIMIT_MIB
    """Memory of each training process for decoded pictures, in MiB, divided among its workers.
    The pictures used longest ago are dropped first, and decoded again when they are drawn again."""
    kernels: Literal["auto", "vector", "eager"] = "auto"
    """C++ kernels on a CPU: `auto` uses them if they compile, `vector` uses them without a matrix
    unit (AMX), `eager` uses PyTorch's operations only."""


def network_tag(network: Any) -> str:
    """Return which configuration describes a network: that of a PLNLIN or that of a rival."""
    if isinstance(network, dict):
        return PLNLIN_TAG if network.get("kind", PLNLIN_TAG) == PLNLIN_TAG else RIVAL_TAG
    return RIVAL_TAG if isinstance(network, RivalConfiguration) else PLNLIN_TAG


Network = Annotated[
    Annotated[PLNLINConfiguration, Tag(PLNLIN_TAG)] | Annotated[RivalConfiguration, Tag(RIVAL_TAG)],
    Discriminator(network_tag),
]


@dataclass(frozen=True)
class Recipe:
    """The settings of a training run.

    Constructing one checks that its values fit together. Types, ranges and unknown keys are
    checked where a recipe is read (`recipe_file`).
    """

    network: Network
    """`kind = "prenet"` or another rival trains that network; the other keys are then `options`."""
    data: Data = field(default_factory=Data)
    loss: Loss = field(default_factory=Loss)
    adversarial: Adversarial = field(default_factory=Adversarial)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    length: Length = field(default_factory=Length)
    validation: Validation = field(default_factory=Validation)
    record: Record = field(default_factory=Record)
    machine: Machine = field(default_factory=Machine)
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the initial weights and of all crops."""
    notes: str = ""
    """Purpose of the recipe; which values are printed in the paper and which are our reading."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False
    )

    def __post_init__(self) -> None:
        if contradiction := next(self._contradictions(), None):
            raise RecipeError(contradiction)
        if isinstance(self.network, PLNLINConfiguration):
            for name in (self.network.unit, self.network.discriminator_unit):
                get_unit(name)  # raises for an unknown name
        get_manner(self.adversarial.manner)

    def _contradictions(self) -> Iterator[str]:
        """Yield a sentence for each value that does not fit with the others."""
        yield from self._folder_errors()
        yield from self._loss_errors()
        yield from self._rival_errors()
        if isinstance(self.network, PLNLINConfiguration) and self.network.window_px < MIN_WINDOW_PX:
            yield (
                f"network.window_px = {self.network.window_px} is too small for the fourth scale "
                f"of the loss; choose {MIN_WINDOW_PX} or more"
            )
        if not self.length.steps and not self.length.hours:
            yield "length: neither steps nor hours is set; set one"
        if self.schedule.kind != "steps" and not getattr(self.length, self.schedule.by):
            yield f"schedule.by = {self.schedule.by!r} needs length.{self.schedule.by}; set it"
        if min(self.adversarial.generator_every, self.adversarial.discriminator_every) > 1:
            yield (
                "adversarial: with generator_every and discriminator_every both above 1, some "
                "steps would train nothing; set one of them to 1"
            )
        processes = self.machine.processes * self.machine.nodes
        if self.optimiser.batch % processes:
            yield (
                f"optimiser.batch = {self.optimiser.batch} cannot be divided among {processes} "
                f"processes; choose a multiple"
            )
        if len(self.optimiser.betas) != 2:
            yield f"optimiser.betas = {list(self.optimiser.betas)}: expected two numbers"
        if self.network.frames > MAX_FRAMES:
            yield (
                f"network.frames = {self.network.frames}: crops have at most {MAX_FRAMES} frames; "
                "choose 1 or 3"
            )
        if self.network.frames > 1 and self.loss.beta:
            yield (
                "loss.beta: the discriminator compares single pictures, so that it cannot train a "
                "network for clips; set it to 0"
            )
        multiple_px = self.network.multiple_px
        if self.data.crop_px < multiple_px or self.data.crop_px % multiple_px:
            yield (
                f"data.crop_px = {self.data.crop_px} is not a multiple of {multiple_px}, so "
                f"windows would be padded; choose {multiple_px} or {2 * multiple_px}"
            )

    def _folder_errors(self) -> Iterator[str]:
        """Yield a sentence for each error in the folders and their weights."""
        folders = [pairs.folder for pairs in (*self.data.pairs, *self.validation.pairs)]
        folders += [*self.data.backgrounds, *self.data.streaks, *self.data.hard, self.record.folder]
        if self.data.root is not None:
            folders.append(self.data.root)
        if not all(folders):
            yield (
                "the name of a folder is empty, as after an unset shell variable; "
                "name the folder or remove the key"
            )
        for folder in folders:
            if "\0" in folder:
                yield f"the folder {folder!r} contains a zero byte; correct its name"
        if not self.data.pairs and not self.data.backgrounds:
            yield 'data.pairs: no folder is given; add [[data.pairs]] with folder = "..."'
        for pairs in self.data.pairs:
            if not 0 < pairs.weight <= MAX_WEIGHT:
                yield (
                    f"data.pairs: the weight {pairs.weight} of {pairs.folder} is out of range; "
                    f"choose one above 0, up to {MAX_WEIGHT:g}"
                )

    def _loss_errors(self) -> Iterator[str]:
        """Yield a sentence for each error in the weights of the loss."""
        loss = self.loss
        if len(loss.level_weights) != LEVELS or len(loss.layer_weights) != LEVELS:
            yield f"loss: level_weights and layer_weights need {LEVELS} numbers, one for each scale"
        by_scale = loss.alpha * sum(loss.level_weights), loss.beta * sum(loss.layer_weights)
        if not loss.own and not any((loss.pixel, loss.absolute, loss.psnr, *by_scale)):
            yield "loss: all weights are 0, so nothing would be learnt; set one, such as pixel"

    def _rival_errors(self) -> Iterator[str]:
        """Yield a sentence for each value that a network of another paper cannot have."""
        if not isinstance(self.network, RivalConfiguration):
            if self.loss.own:
                yield (
                    "loss.own: a PLNLIN has no other loss than the terms above; set it to false, "
                    "or choose a rival with network.kind"
                )
        elif self.loss.alpha or self.loss.beta:
            yield (
                f"loss: {self.network.kind} has no heads, which the hierarchical and the "
                "adversarial term need; set loss.alpha and loss.beta to 0"
            )

    @property
    def plnlin(self) -> PLNLINConfiguration:
        """The network as a PLNLIN. Raises RecipeError for a rival."""
        if isinstance(self.network, RivalConfiguration):
            raise RecipeError(
                f"network.kind = {self.network.kind!r}: only a PLNLIN can do this; remove the key"
            )
        return self.network

    @property
    def trains_heads(self) -> bool:
        """True if a loss uses the hierarchical heads; otherwise they are not computed."""
        return bool(self.loss.alpha or self.loss.beta)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for logs and model cards."""
        return asdict(self)
