"""Turns the arguments of `derain evaluate` into experiments: data sets with candidates to score."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from derain.data.pairs.file_names import side_by_folder
from derain.data.pairs.find import find_pairs
from derain.data.pairs.pair_set import IGNORED_KINDS, PairSet, Problem
from derain.errors import DataError
from derain.evaluate import light
from derain.evaluate.external_outputs import (
    describe_matching,
    files_candidate,
    find_photos,
    find_rain_free,
    match_to_clean,
    match_to_samples,
)
from derain.evaluate.name_matching import match, picture_files
from derain.evaluate.provenance import ModelProvenance
from derain.evaluate.scoring import (
    UNTOUCHED,
    Candidate,
    Evaluation,
    Sample,
    model_candidate,
    pair_samples,
    score_candidates,
)
from derain.files.paths import exists, is_file

if TYPE_CHECKING:
    from derain.inference import Restorer

_SAVED = (
    "Outputs were scored as saved: even under `paper` they are rounded by the program that wrote "
    "them."
)


@dataclass(frozen=True)
class Experiment:
    """A data set and the candidates to score on it."""

    data: str
    samples: list[Sample]
    candidates: dict[str, Candidate]
    problems: list[str] = field(default_factory=list)
    """Problems known before the first picture is scored."""
    notes: list[str] = field(default_factory=list)
    """Notes known before the first picture is scored."""
    has_clean: bool = True
    """False for photos of real rain: no protocol applies."""
    models: list[ModelProvenance] = field(default_factory=list)
    """The candidates that are models."""
    is_rain_free: bool = False
    """True if the input is its own clean side: the untouched input gets no row."""
    fits_light: bool = False
    """True to fit gain and offset of every picture to the clean one, see `light.fit_light`."""

    def run(
        self, protocols: Sequence[str], *, on_sample: Callable[[], None] | None = None
    ) -> Evaluation:
        """Score all samples; `on_sample` is called after each of them."""
        evaluation = score_candidates(
            self.data,
            self.samples,
            self.candidates,
            protocols=protocols if self.has_clean else (),
            untouched=not self.is_rain_free,
            fits_light=self.fits_light,
            on_sample=on_sample,
        )
        return replace(
            evaluation,
            problems=[*self.problems, *evaluation.problems],
            notes=[*self.notes, *evaluation.notes],
        )


def open_in_float32(model: str) -> Restorer:
    """Open a model so that its figures do not depend on the processor."""
    from derain.inference import Restorer  # loading the engine takes a second

    return Restorer(model, precision="float32")


def experiments(
    *,
    models: Sequence[str] = (),
    data: Sequence[str] = (),
    outputs: Sequence[str] = (),
    clean: Path | None = None,
    photos: Sequence[str] = (),
    rain_free: Sequence[str] = (),
    only: Sequence[str] = (),
    layout: str | None = None,
    fit_light: bool = False,
    open_model: Callable[[str], Restorer] = open_in_float32,
) -> list[Experiment]:
    """Return one experiment for each data set: pairs first, then photos, then rain-free pictures.

    `data` are folders of pairs in the given `layout` (see `find_pairs`), `photos` have no clean
    side, `rain_free` pictures are their own clean side; each is DIR or NAME=DIR. `clean` is a
    folder of clean pictures for `outputs` without rainy ones. `outputs` are DIR or NAME=DIR.
    `models` are names or files, or NAME=MODEL, opened by `open_model`. With `only`, just the
    pictures of these names are scored. With `fit_light`, gain and offset of every picture with a
    clean side are fitted to that side. Raises DerainError for what cannot be evaluated, before any
    work.
    """
    _check_arguments(models, data, outputs, clean, photos, rain_free, layout)
    if fit_light and not (data or rain_free or clean):
        raise DataError(
            "`--fit-light` was given without clean pictures; add `--data DIR` or `--clean DIR`"
        )
    output_folders, only = _by_name(outputs), list(dict.fromkeys(only))
    pair_folders, photo_folders = _by_name(data), _by_name(photos)
    rain_free_folders = _by_name(rain_free)
    if clean is not None:
        experiment = _select(_on_clean(output_folders, clean), only)
        return [_with_light_fitted(experiment) if fit_light else experiment]
    restorers, provenance = _open_models(models, open_model)
    planned = [
        *(
            _on_pairs(name, folder, restorers, output_folders, layout=layout, only=only)
            for name, folder in pair_folders.items()
        ),
        *(
            _select(_on_photos(name, folder, restorers, output_folders), only)
            for name, folder in photo_folders.items()
        ),
        *(
            _select(_on_rain_free(name, folder, restorers, output_folders), only)
            for name, folder in rain_free_folders.items()
        ),
    ]
    if fit_light:
        planned = [_with_light_fitted(item) if item.has_clean else item for item in planned]
    return [replace(experiment, models=provenance) for experiment in planned]


def _with_light_fitted(experiment: Experiment) -> Experiment:
    return replace(
        experiment,
        data=experiment.data + light.SUFFIX,
        notes=[*experiment.notes, light.NOTE],
        fits_light=True,
    )


def _check_arguments(
    models: Sequence[str],
    data: Sequence[str],
    outputs: Sequence[str],
    clean: Path | None,
    photos: Sequence[str],
    rain_free: Sequence[str],
    layout: str | None,
) -> None:
    folders = [*data, *photos, *rain_free]
    if not folders and clean is None:
        raise DataError(
            "nothing to evaluate on: add pairs with `--data DIR`, clean pictures with "
            "`--clean DIR`, photos of real rain with `--photos DIR`, or rain-free pictures with "
            "`--rain-free DIR`"
        )
    if folders and clean is not None:
        raise DataError(
            f"`--clean {clean}` cannot be combined with `--data`, `--photos` or `--rain-free`: "
            "pairs include their clean pictures, photos have none, and rain-free pictures are "
            "their own; drop one of the options"
        )
    if clean is not None and models:
        raise DataError(
            f"`--clean {clean}` has no rainy pictures that a model could restore; "
            "give pairs with `--data DIR`"
        )
    if clean is not None and not outputs:
        raise DataError(
            f"`--clean {clean}` was given without outputs to score; "
            "add `--outputs DIR` or `--outputs NAME=DIR`"
        )
    if len(folders) > 1 and outputs:
        raise DataError(
            "`--outputs` belong to one data set; give one `--data DIR`, `--photos DIR` or "
            "`--rain-free DIR` with them, and run once for each"
        )
    if rain_free and not (models or outputs):
        raise DataError(
            f"`--rain-free {rain_free[0]}` was given with nothing to score; "
            "add `--model NAME` or `--outputs DIR`"
        )
    if layout is not None and not data:
        raise DataError(f"`--layout {layout}` was given without pairs; add `--data DIR` or drop it")


def _on_pairs(
    name: str,
    folder: Path,
    restorers: dict[str, Candidate],
    outputs: dict[str, Path],
    *,
    layout: str | None,
    only: Sequence[str],
) -> Experiment:
    pairs = find_pairs(folder, layout=layout)
    samples = pair_samples(pairs)
    candidates, notes = _candidates(restorers, outputs, samples)
    ignored = (
        f"; {len(pairs.ignored)} other pictures ignored ({IGNORED_KINDS})" if pairs.ignored else ""
    )
    notes = [f"{folder}: {len(samples)} pairs, layout `{pairs.layout}`{ignored}", *notes]
    results = _output_files(pairs, outputs)
    problems = [
        problem
        for problem in pairs.problems
        if not problem.is_intact and problem.path.resolve() not in results
    ]
    if only:
        by_name: dict[str, list[Problem]] = defaultdict(list)
        for problem in problems:
            by_name[_pair_name(problem.path, pairs.folder)].append(problem)
        selected = match(only, list(by_name), whole_folders=False)
        problems = [problem for item in selected.matches for problem in by_name[item.scene]]
        known = match(only, [sample.name for sample in samples], whole_folders=False)
        broken = {item.output for item in selected.matches} & set(known.unmatched_outputs)
        only = [name for name in only if name not in broken]
        if not only:
            samples, notes = [], [*notes, "none of the pictures in `--only` can be scored"]
    return _select(
        Experiment(name, samples, candidates, [str(problem) for problem in problems], notes), only
    )


def _output_files(pairs: PairSet, outputs: Mapping[str, Path]) -> set[Path]:
    """Return the files, resolved, of outputs that belong to no pair, such as results beside it."""
    if not outputs:
        return set()  # resolving thousands of pairs takes a while
    sides = {path.resolve() for pair in pairs.pairs for path in (pair.rainy_path, pair.clean_path)}
    folders = ({path.resolve() for path in picture_files(it).values()} for it in outputs.values())
    return set().union(*(files for files in folders if files.isdisjoint(sides)))


def _pair_name(path: Path, folder: Path) -> str:
    """Return the name that the pair of a file would have."""
    if not path.is_relative_to(folder):
        return path.stem
    return "/".join((*side_by_folder(path.relative_to(folder))[1], path.stem))


def _on_photos(
    name: str, folder: Path, restorers: dict[str, Candidate], outputs: dict[str, Path]
) -> Experiment:
    samples = find_photos(folder)
    candidates, notes = _candidates(restorers, outputs, samples)
    notes = [f"{folder}: {len(samples)} photos without clean pictures: NIQE only", *notes]
    return Experiment(name, samples, candidates, [], notes, has_clean=False)


def _on_rain_free(
    name: str, folder: Path, restorers: dict[str, Candidate], outputs: dict[str, Path]
) -> Experiment:
    samples = find_rain_free(folder)
    candidates, notes = _candidates(restorers, outputs, samples)
    notes = [f"{folder}: {len(samples)} rain-free pictures, each scored against itself", *notes]
    return Experiment(f"{name}, rain-free", samples, candidates, [], notes, is_rain_free=True)


def _candidates(
    restorers: dict[str, Candidate], outputs: dict[str, Path], samples: Sequence[Sample]
) -> tuple[dict[str, Candidate], list[str]]:
    """Return models and outputs by name, and notes on the outputs."""
    candidates, notes = dict(restorers), list[str]()
    for name, folder in outputs.items():
        files, matching = match_to_samples(folder, samples)
        _add(candidates, name, files_candidate(files), option="--outputs NAME=DIR")
        notes += describe_matching(name, matching)
    if outputs:
        notes.append(_SAVED)
    return candidates, notes


def _on_clean(outputs: dict[str, Path], clean: Path) -> Experiment:
    samples, files, matchings = match_to_clean(outputs, clean)
    notes = [
        note for name, matching in matchings.items() for note in describe_matching(name, matching)
    ]
    candidates: dict[str, Candidate] = {}
    for name in outputs:
        _add(candidates, name, files_candidate(files[name]), option="--outputs NAME=DIR")
    return Experiment(clean.resolve().name, samples, candidates, [], [*notes, _SAVED])


def _select(experiment: Experiment, only: Sequence[str]) -> Experiment:
    """Keep only the samples of these names. Raises DataError for a name that is not exactly one."""
    if not only:
        return experiment
    matching = match(only, [sample.name for sample in experiment.samples], whole_folders=False)
    wrong = [
        *matching.unmatched_outputs,
        *(name for names in matching.ambiguous.values() for name in names),
    ]
    if wrong:
        raise DataError(
            f"{experiment.data}: {', '.join(wrong)} does not name exactly one picture; "
            "use the names in the report with `--only`"
        )
    selected = {item.scene for item in matching.matches}
    samples = [sample for sample in experiment.samples if sample.name in selected]
    names = ", ".join(sample.name for sample in samples)
    note = f"only {len(samples)} of its {len(experiment.samples)} pictures: {names}"
    return replace(experiment, samples=samples, notes=[*experiment.notes, note])


def _open_models(
    models: Sequence[str], open_model: Callable[[str], Restorer]
) -> tuple[dict[str, Candidate], list[ModelProvenance]]:
    candidates: dict[str, Candidate] = {}
    provenance = []
    for name, model in _by_name(models, default=_model_name).items():
        restorer = open_model(str(model))
        _add(candidates, name, model_candidate(restorer), option="--model NAME=MODEL")
        provenance.append(ModelProvenance.from_restorer(name, restorer))
    return candidates, provenance


def _add(candidates: dict[str, Candidate], name: str, candidate: Candidate, *, option: str) -> None:
    if name in candidates or name == UNTOUCHED:
        raise DataError(
            f"two rows of the table would have the name {name}; choose another one with `{option}`"
        )
    candidates[name] = candidate


def _folder_name(path: Path) -> str:
    return path.resolve().name


def _model_name(path: Path) -> str:
    return path.stem if is_file(path) else str(path)


def _by_name(
    arguments: Sequence[str], *, default: Callable[[Path], str] = _folder_name
) -> dict[str, Path]:
    """Return the paths by NAME, else by `default` name, or by path where two names are equal."""
    split = [_split(argument) for argument in arguments]
    count = Counter(name or default(path) for name, path in split)
    by_name: dict[str, Path] = {}
    for explicit, path in split:
        name = explicit or default(path)
        if explicit and count[name] > 1:
            raise DataError(f"{path}: the name {name} is given twice; choose different names")
        by_name[name if count[name] == 1 else str(path)] = path
    return by_name


def _split(argument: str) -> tuple[str | None, Path]:
    name, equals, folder = argument.partition("=")
    if not argument or (equals and not folder and not exists(Path(argument))):
        raise DataError(
            f"{argument or 'an argument'}: names no file or folder; "
            "give one, or . for the current folder"
        )
    if equals and name and not exists(Path(argument)):  # a path may contain `=`
        return name, Path(folder).expanduser()  # shells do not expand the ~ of NAME=~/DIR
    return None, Path(argument)
