"""What `derain evaluate` was asked for, as experiments that can be measured: data sets, and candidates to score on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from derain.data.pairs.file_names import side_by_folder
from derain.data.pairs.find import IGNORED, find_pairs
from derain.errors import DataError
from derain.evaluate.external_outputs import (
    files_candidate,
    match_to_clean,
    match_to_samples,
    notes_on,
    photos_in,
    rain_free_pictures_in,
)
from derain.evaluate.name_matching import match
from derain.evaluate.provenance import ModelProvenance
from derain.evaluate.scoring import (
    UNTOUCHED,
    Candidate,
    Evaluation,
    Sample,
    model_candidate,
    samples_of,
    score_candidates,
)
from derain.files.paths import exists, is_file

_SAVED = "Outputs were scored as they lie on the disk: under `paper`, too, they are rounded by the program that saved them."


@dataclass(frozen=True)
class Experiment:
    """A data set and the candidates to score on it; `problems` and `notes` are what was found out before the first picture."""

    data: str
    samples: list[Sample]
    candidates: dict[str, Candidate]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    has_clean: bool = True
    models: list[ModelProvenance] = field(default_factory=list)
    "What those of the candidates that are models are run with."
    is_rain_free: bool = False
    "No rain in it: the untouched input is the clean picture, and no row of the table."

    def run(
        self, protocols: Sequence[str], *, samples: Iterable[Sample] | None = None
    ) -> Evaluation:
        """Measure; `samples` are the same ones behind whatever shows progress. Without clean pictures no protocol applies."""
        chosen = protocols if self.has_clean else ()
        scored = self.samples if samples is None else samples
        evaluation = score_candidates(
            self.data, scored, self.candidates, protocols=chosen, untouched=not self.is_rain_free
        )
        return replace(
            evaluation,
            problems=[*self.problems, *evaluation.problems],
            notes=[*self.notes, *evaluation.notes],
        )


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
    engine: str | None = None,
    device: str = "cpu",
    precision: str | None = "float32",
    threads: int | None = None,
    ensemble: int = 1,
) -> list[Experiment]:
    """One experiment for each `data` (DIR or NAME=DIR), or one for `clean`, which is for `outputs` without rainy pictures.

    `photos` (DIR or NAME=DIR too) have no clean side, `rain_free` pictures no rain, so that each is to come out as it went in:
    one experiment for each, behind the others. `outputs` are DIR or NAME=DIR, `models` names or files, or NAME=MODEL; with
    `only`, no pictures but those of these names are scored. `layout` is that of all `data`, see `find_pairs`. `engine` to
    `ensemble` are those of `derain.Restorer`, for all models; in float32 figures do not depend on the processor. Raises
    DerainError for what cannot be evaluated, before any work.
    """
    _check(models=models, data=[*data, *photos, *rain_free], outputs=outputs, clean=clean)
    if rain_free and not (models or outputs):
        raise DataError(
            f"`--rain-free {rain_free[0]}` was given with nothing to score: add `--model NAME` or `--outputs DIR`"
        )
    if layout is not None and not data:
        raise DataError(
            f"`--layout {layout}` was given without pairs: it is how those of `--data DIR` lie; leave it out"
        )
    folders, only = _named(outputs), list(dict.fromkeys(only))
    if clean is not None:
        return [_limited(_against_clean(folders, clean), only)]
    restorers, facts = _restorers(
        models,
        engine=engine,
        device=device,
        precision=precision,
        threads=threads,
        ensemble=ensemble,
    )
    found = [
        *(
            _on_pairs(name, folder, restorers, folders, layout=layout, only=only)
            for name, folder in _named(data).items()
        ),
        *(
            _limited(_on_photos(name, folder, restorers, folders), only)
            for name, folder in _named(photos).items()
        ),
        *(
            _limited(_on_rain_free(name, folder, restorers, folders), only)
            for name, folder in _named(rain_free).items()
        ),
    ]
    return [replace(one, models=facts) for one in found]


def _check(
    *, models: Sequence[str], data: Sequence[str], outputs: Sequence[str], clean: Path | None
) -> None:
    if not data and clean is None:
        raise DataError(
            "nothing to evaluate on: give rainy and clean pictures with `--data DIR`, clean ones with `--clean DIR`, photos of "
            "real rain with `--photos DIR`, or rain-free pictures with `--rain-free DIR`"
        )
    if data and clean is not None:
        raise DataError(
            f"`--clean {clean}` was given with `--data`, `--photos` or `--rain-free`: `--data` brings its own clean pictures, "
            "photos have none, and rain-free ones are their own; leave one out"
        )
    if clean is not None and models:
        raise DataError(
            f"`--clean {clean}` has no rainy pictures for a model to restore: give pairs with `--data DIR`"
        )
    if clean is not None and not outputs:
        raise DataError(
            f"`--clean {clean}` was given without outputs to score: add `--outputs DIR` or `--outputs NAME=DIR`"
        )
    if len(data) > 1 and outputs:
        raise DataError(
            "`--outputs` belong to one data set: give one `--data DIR`, `--photos DIR` or `--rain-free DIR` with them, and "
            "run once for each"
        )


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
    samples = samples_of(pairs)
    candidates, notes = _candidates(restorers, outputs, samples)
    ignored = f"; {len(pairs.ignored)} other pictures ignored ({IGNORED})" if pairs.ignored else ""
    notes = [f"{folder}: {len(samples)} pairs, layout `{pairs.layout}`{ignored}", *notes]
    problems = [problem for problem in pairs.problems if not problem.is_whole]
    if only:
        broken = {_name_of(problem.path, pairs.folder): problem for problem in problems}
        asked = match(only, list(broken), folders=False)
        problems = [broken[found.scene] for found in asked.matches]
        known = match(only, [sample.name for sample in samples], folders=False)
        lost = {found.output for found in asked.matches} & set(known.left_outputs)
        only = [one for one in only if one not in lost]
        if not only:
            samples, notes = [], [*notes, "none of the pictures that were asked for can be scored"]
    return _limited(
        Experiment(name, samples, candidates, [str(problem) for problem in problems], notes), only
    )


def _name_of(path: Path, folder: Path) -> str:
    """What the pair of a file would be called."""
    if not path.is_relative_to(folder):
        return path.stem
    return "/".join((*side_by_folder(path.relative_to(folder))[1], path.stem))


def _on_photos(
    name: str, folder: Path, restorers: dict[str, Candidate], outputs: dict[str, Path]
) -> Experiment:
    samples = photos_in(folder)
    candidates, notes = _candidates(restorers, outputs, samples)
    notes = [
        f"{folder}: {len(samples)} photos without clean pictures: NIQE alone, and your own eyes",
        *notes,
    ]
    return Experiment(name, samples, candidates, [], notes, has_clean=False)


def _on_rain_free(
    name: str, folder: Path, restorers: dict[str, Candidate], outputs: dict[str, Path]
) -> Experiment:
    samples = rain_free_pictures_in(folder)
    candidates, notes = _candidates(restorers, outputs, samples)
    notes = [f"{folder}: {len(samples)} rain-free pictures, each scored against itself", *notes]
    return Experiment(f"{name}, rain-free", samples, candidates, [], notes, is_rain_free=True)


def _candidates(
    restorers: dict[str, Candidate], outputs: dict[str, Path], samples: Sequence[Sample]
) -> tuple[dict[str, Candidate], list[str]]:
    """Models and outputs by name, and what is to be said of the outputs."""
    candidates, notes = dict(restorers), list[str]()
    for candidate, written in outputs.items():
        files, matching = match_to_samples(written, samples)
        _add(candidates, candidate, files_candidate(files), option="--outputs NAME=DIR")
        notes += notes_on(candidate, matching)
    if outputs:
        notes.append(_SAVED)
    return candidates, notes


def _against_clean(outputs: dict[str, Path], clean: Path) -> Experiment:
    samples, files, matchings = match_to_clean(outputs, clean)
    notes = [note for name, matching in matchings.items() for note in notes_on(name, matching)]
    candidates: dict[str, Candidate] = {}
    for name in outputs:
        _add(candidates, name, files_candidate(files[name]), option="--outputs NAME=DIR")
    return Experiment(clean.resolve().name, samples, candidates, [], [*notes, _SAVED])


def _limited(experiment: Experiment, only: Sequence[str]) -> Experiment:
    if not only:
        return experiment
    matching = match(only, [sample.name for sample in experiment.samples], folders=False)
    wrong = [
        *matching.left_outputs,
        *(name for names in matching.ambiguous.values() for name in names),
    ]
    if wrong:
        raise DataError(
            f"{experiment.data}: no one picture is called {', '.join(wrong)}; give `--only` the names in the report"
        )
    chosen = {found.scene for found in matching.matches}
    samples = [sample for sample in experiment.samples if sample.name in chosen]
    note = f"only {len(samples)} of its {len(experiment.samples)} pictures: {', '.join(sample.name for sample in samples)}"
    return replace(experiment, samples=samples, notes=[*experiment.notes, note])


def _restorers(
    models: Sequence[str], **options: Any
) -> tuple[dict[str, Candidate], list[ModelProvenance]]:
    if not models:
        return {}, []
    from derain.inference import (
        Restorer,  # the engine, which takes a second to load, only where something is restored
    )

    candidates: dict[str, Candidate] = {}
    facts = []
    for name, model in _named(models, short=_model_name).items():
        restorer = Restorer(str(model), **options)
        _add(candidates, name, model_candidate(restorer), option="--model NAME=MODEL")
        facts.append(ModelProvenance.of(name, restorer))
    return candidates, facts


def _add(candidates: dict[str, Candidate], name: str, candidate: Candidate, *, option: str) -> None:
    if name in candidates or name == UNTOUCHED:
        raise DataError(
            f"two rows of the table would be called {name}: give another name, as in `{option}`"
        )
    candidates[name] = candidate


def _folder_name(path: Path) -> str:
    return path.resolve().name


def _model_name(path: Path) -> str:
    return path.stem if is_file(path) else str(path)


def _named(
    arguments: Sequence[str], *, short: Callable[[Path], str] = _folder_name
) -> dict[str, Path]:
    """NAME=PATH under its name, PATH under its `short` name, or under its whole path if two have one name."""
    split = [_split(argument) for argument in arguments]
    count = Counter(name or short(path) for name, path in split)
    named: dict[str, Path] = {}
    for name, path in split:
        own = name or short(path)
        if name and count[own] > 1:
            raise DataError(
                f"{path}: {name} is the name of another one too; give each one a name of its own"
            )
        named[own if count[own] == 1 else str(path)] = path
    return named


def _split(argument: str) -> tuple[str | None, Path]:
    name, equals, folder = argument.partition("=")
    if not argument or (equals and not folder and not exists(Path(argument))):
        raise DataError(
            f"{argument or 'an input'}: names no file or folder; give one, or . for the current folder"
        )
    if equals and name and not exists(Path(argument)):  # a folder or file may have `=` in its name
        return name, Path(folder).expanduser()  # shells leave the ~ of NAME=~/DIR as it is
    return None, Path(argument)
