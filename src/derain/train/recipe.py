"""Everything that a training run depends on, as frozen dataclasses. `recipe_file` reads them from TOML."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from typing import Any, Literal

from derain.data.crops import MAX_WEIGHT, CropMix
from derain.errors import RecipeError
from derain.network.configuration import LEVELS, PLNLINConfiguration
from derain.network.variants import get_unit
from derain.train.manners import get_manner

Precision = Literal["32-true", "bf16-mixed"]
"""Of the computation; float16 is left out: a gradient that overflows ends a run."""
LEAST = {
    "loss.pixel": 0,
    "loss.absolute": 0,
    "loss.psnr": 0,
    "loss.alpha": 0,
    "loss.levels": 0,
    "loss.beta": 0,
    "loss.layers": 0,
    "adversarial.generator_every": 1,
    "adversarial.discriminator_every": 1,
    "adversarial.warmup_steps": 0,
    "optimiser.learning_rate": 0,
    "optimiser.weight_decay": 0,
    "optimiser.clip_norm": 0,
    "optimiser.batch": 1,
    "schedule.warmup_steps": 0,
    "schedule.milestones": 0,
    "length.steps": 0,
    "length.hours": 0,
    "validation.every_steps": 0,
    "validation.every_minutes": 0,
    "record.save_every_minutes": 0,
    "record.log_every_steps": 1,
    "machine.processes": 1,
    "machine.nodes": 1,
    "machine.threads": 0,
    "machine.workers": 0,
    "seed": 0,
}
"""The smallest value of numbers, or of each of a list, that are not free."""
MOST_THREADS = 4096


@dataclass(frozen=True)
class PairFolder:
    """One folder of training pairs."""

    folder: str
    """Relative to the recipe's file."""
    weight: float = 1.0
    """How often its pairs are drawn, relative to the other folders."""
    layers: bool = True
    """Whether its rain was added, so that it may be laid over other backgrounds (mix.moved)."""
    layout: str = ""
    """One of docs/data.md, where it is not recognised."""
    exclude: tuple[str, ...] = ()
    """Names of pairs to leave out."""
    only: tuple[str, ...] = ()
    """Names of pairs to take alone; none means all."""


@dataclass(frozen=True)
class Data:
    """What is learnt from."""

    pairs: tuple[PairFolder, ...] = ()
    """Folders of rainy and clean pictures."""
    backgrounds: tuple[str, ...] = ()
    """Folders of dry pictures."""
    exclude: tuple[str, ...] = ()
    """Stems of backgrounds to leave out."""
    streaks: tuple[str, ...] = ()
    """Folders of streak masks, grey on black."""
    crop_px: int = 112
    """Side of the squares that are learnt from, a multiple of 56: whole windows at every level."""
    mix: CropMix = field(default_factory=CropMix)
    """How often each kind of crop is drawn, and what is done to it."""


@dataclass(frozen=True)
class Loss:
    """Equations (9) to (12): pixel + absolute * L1 + psnr * dB + alpha * hierarchical + beta * adversarial."""

    pixel: float = 1.0
    """Weight of 1 - SSIM (equation 10)."""
    absolute: float = 0.0
    """Weight of the mean absolute error, which the paper does not have."""
    psnr: float = 0.0
    """Weight of minus the PSNR in dB, which the paper does not have."""
    alpha: float = 1.0
    """Weight of the hierarchical term."""
    levels: tuple[float, ...] = (0.1, 0.05, 0.02, 0.01)
    """lambda_k of equation (11), from full resolution down."""
    beta: float = 1.0
    """Weight of the adversarial term; 0 trains without a discriminator."""
    layers: tuple[float, ...] = (0.0005, 0.001, 0.0025, 0.005)
    """mu_l of equation (12), from full resolution down."""


@dataclass(frozen=True)
class Optimiser:
    """Adam, AdamW or Muon."""

    name: Literal["adam", "adamw", "muon"] = "adam"
    """`muon` is `derain.train.muon`."""
    learning_rate: float = 1e-4
    """Its greatest value, of both networks; `schedule` multiplies it."""
    betas: tuple[float, ...] = (0.9, 0.999)
    """Decay of the mean of gradients and of that of their squares; Muon's own momentum is 0.95."""
    weight_decay: float = 0.0
    """Of matrices and kernels, times the rate; `adam` adds it to the gradient, the others decay apart from it."""
    clip_norm: float = 0.0
    """Greatest norm of the gradient; 0 leaves it as it is."""
    batch: int = 2
    """Crops in a step, over all processes."""
    ema: float = 0.0
    """Decay of the averaged weights that are validated and exported; 0 takes the weights themselves."""


@dataclass(frozen=True)
class Adversarial:
    """Algorithm 1: how often each network is updated. The text does not say which is the frequent one; ours is the generator."""

    manner: str = "mcddl"
    """What the discriminator is shown and where it judges: a name in `manners.MANNERS`, of which all but the first are rows of
    Table 1."""
    generator_every: int = 1
    """The generator is updated at every such step."""
    discriminator_every: int = 5
    """r: the discriminator is updated at every such step."""
    real_gradient: bool = False
    """Whether the generator's step follows what becomes of the features of the clean picture, too: equation (8) has them, and
    they are the generator's own. It costs a second backward pass. Our reading of the paper is that the real side is constant."""
    warmup_steps: int = 0
    """First steps in which the discriminator is updated every time and the generator without its adversarial term: weights that
    were trained without a discriminator should not meet a random one."""


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the run, as a factor of `optimiser.learning_rate`."""

    kind: Literal["steps", "cosine", "trapezoid"] = "steps"
    """`steps` divides at each milestone; `cosine` falls along a half cosine to `last`; `trapezoid` stays and falls at the end, so
    that a state from before the fall goes on as if there had been none (Hu et al., arXiv 2404.06395)."""
    milestones: tuple[int, ...] = ()
    """Steps at which the rate is multiplied by `factor`."""
    factor: float = 0.1
    """What a milestone multiplies the rate by."""
    last: float = 1e-3
    """The factor at the end of a cosine or a trapezoid."""
    fall: float = 0.2
    """The share of the length over which a trapezoid falls."""
    warmup_steps: int = 0
    """First steps, over which the rate rises from nothing."""
    by: Literal["steps", "hours"] = "steps"
    """Whether the cosine or the trapezoid follows the steps or the hours of training."""


@dataclass(frozen=True)
class Length:
    """When the run ends: at whichever of the two comes first. 0 is no limit; one must be given."""

    steps: int = 0
    """Updates, over all sessions of the run."""
    hours: float = 0.0
    """Of training, validation and saving left out, over all sessions of the run."""


@dataclass(frozen=True)
class Validation:
    """Pairs never trained on, restored whole and scored with protocol `paper` during the run."""

    pairs: tuple[PairFolder, ...] = ()
    """None: the weights are written without figures."""
    every_steps: int = 0
    """0, here and in minutes, validates at the end alone."""
    every_minutes: float = 0.0
    """By the clock, between one validation and the next."""


@dataclass(frozen=True)
class Record:
    """Where the run leaves its state, its logs and its weights."""

    folder: str = "runs/run"
    """Relative to where the command is given."""
    save_every_minutes: float = 10.0
    """How much a kill may cost."""
    log_every_steps: int = 20
    """A line has the means of the steps since the last one."""


@dataclass(frozen=True)
class Machine:
    """Devices, processes and precision, given to Lightning Fabric."""

    accelerator: str = "auto"
    """`cpu`, `cuda` or another of Fabric's; `auto` takes a GPU where there is one."""
    processes: int = 1
    """Devices in one machine; on a CPU, processes."""
    nodes: int = 1
    """Machines."""
    threads: int = 0
    """CPU threads of each process; 0 divides the cores among the processes."""
    precision: Literal["auto", Precision] = "auto"
    """`auto` measures whether bfloat16 products are faster here; what it came to is in the run's recipe.json and card."""
    workers: int = 0
    """Processes that prepare crops; 0 prepares them in the training process."""
    kernels: Literal["auto", "vector", "eager"] = "auto"
    """On a CPU, `auto` trains by the C++ kernels where they compile, `vector` too, but without a matrix unit (AMX), `eager` by
    PyTorch's operations alone."""


@dataclass(frozen=True)
class Recipe:
    """Everything that a training run depends on."""

    network: PLNLINConfiguration
    data: Data = field(default_factory=Data)
    loss: Loss = field(default_factory=Loss)
    adversarial: Adversarial = field(default_factory=Adversarial)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    length: Length = field(default_factory=Length)
    validation: Validation = field(default_factory=Validation)
    record: Record = field(default_factory=Record)
    machine: Machine = field(default_factory=Machine)
    seed: int = 0
    """Of the first weights and of all crops."""
    notes: str = ""
    """What the recipe is for, which of its values are printed in the paper and which are our reading."""

    def __post_init__(self) -> None:
        if contradiction := next(self._contradictions(), None):
            raise RecipeError(contradiction)
        for name in (self.network.unit, self.network.discriminator_unit):
            get_unit(name)  # which raises for one that is not known
        get_manner(self.adversarial.manner)

    def _contradictions(self) -> Iterator[str]:
        """A sentence for each value that is out of range or does not go with another."""
        for key, least in LEAST.items():
            value = attrgetter(key)(self)
            if not all(
                least <= one < math.inf for one in (value if isinstance(value, tuple) else (value,))
            ):
                yield f"{key} = {value} is out of range; choose {least} or more"
        if self.machine.threads > MOST_THREADS:
            yield f"machine.threads = {self.machine.threads} is out of range; choose up to {MOST_THREADS}"
        if self.network.window_px < 2:
            yield f"network.window_px = {self.network.window_px} leaves nothing at the fourth scale of a loss; choose 2 or more"
        folders = [pairs.folder for pairs in (*self.data.pairs, *self.validation.pairs)]
        if not all((*folders, *self.data.backgrounds, *self.data.streaks, self.record.folder)):
            yield "a folder is named by an empty text, as of a shell variable that is not set; name it, or leave it out"
        for key in ("factor", "last"):
            if not 0 <= (value := getattr(self.schedule, key)) <= 1:
                yield f"schedule.{key} = {value} is out of range; choose one from 0 to 1"
        if self.seed >= 2**63:
            yield f"seed = {self.seed} is too large; choose one below 2**63"
        if not self.data.pairs and not self.data.backgrounds:
            yield 'data.pairs: no folder is named; give [[data.pairs]] with folder = "..."'
        for pairs in self.data.pairs:
            if not 0 < pairs.weight <= MAX_WEIGHT:
                weight = f"the weight {pairs.weight} of {pairs.folder} is out of range"
                yield f"data.pairs: {weight}; choose one above 0, up to {MAX_WEIGHT:g}"
        if not self.length.steps and not self.length.hours:
            yield "length: neither steps nor hours is given; set one"
        if self.schedule.kind != "steps" and not getattr(self.length, self.schedule.by):
            yield f"schedule.by = {self.schedule.by!r} needs length.{self.schedule.by}; set it"
        if min(self.adversarial.generator_every, self.adversarial.discriminator_every) > 1:
            yield "adversarial: generator_every and discriminator_every are both above 1: steps would train nothing; set one to 1"
        if not 0 < self.schedule.fall <= 1:
            yield f"schedule.fall = {self.schedule.fall} is out of range; choose one above 0, up to 1"
        processes = self.machine.processes * self.machine.nodes
        if self.optimiser.batch % processes:
            yield f"optimiser.batch = {self.optimiser.batch} does not divide among {processes} processes; choose a multiple"
        if len(self.optimiser.betas) != 2 or not all(
            0 <= beta < 1 for beta in self.optimiser.betas
        ):
            yield f"optimiser.betas = {list(self.optimiser.betas)} is out of range; give two numbers from 0 to below 1"
        if not 0 <= self.optimiser.ema < 1:
            yield f"optimiser.ema = {self.optimiser.ema} is out of range; choose one from 0 to below 1"
        if len(self.loss.levels) != LEVELS or len(self.loss.layers) != LEVELS:
            yield f"loss: levels and layers have a weight for each of {LEVELS} scales; give {LEVELS} numbers"
        loss = self.loss
        by_scales = loss.alpha * sum(loss.levels), loss.beta * sum(loss.layers)
        if not any((loss.pixel, loss.absolute, loss.psnr, *by_scales)):
            yield "loss: all of its weights are 0, so that nothing would be learnt; give one of them, such as pixel"
        whole_px = self.network.multiple_px
        if self.data.crop_px < whole_px or self.data.crop_px % whole_px:
            yield (
                f"data.crop_px = {self.data.crop_px} is no multiple of {whole_px}, "
                f"so that windows would be padded; choose {whole_px} or {2 * whole_px}"
            )

    @property
    def trains_heads(self) -> bool:
        """Whether a loss looks at the hierarchical heads; otherwise they are not computed and stay as they are."""
        return bool(self.loss.alpha or self.loss.beta)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for logs and model cards."""
        return asdict(self)
