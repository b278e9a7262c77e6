"""One call of `derain evaluate`: score everything, then write the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from derain.errors import DataError
from derain.evaluate import paper_table2
from derain.evaluate.experiments import Experiment
from derain.evaluate.html_report import GalleryEntry, render_page, select_gallery
from derain.evaluate.provenance import ModelProvenance, Provenance
from derain.evaluate.report_files import as_csv, as_json, as_markdown, check_paths
from derain.evaluate.scoring import Evaluation
from derain.evaluate.summary import Summary, summarise
from derain.evaluate.tables import Table
from derain.files.atomic import write_text


@dataclass(frozen=True)
class ReportPaths:
    """The files to write. Raises DataError at once for a path that cannot be written."""

    markdown: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    html: Path | None = None
    inputs: Sequence[Path] = ()
    """Files that are read and must not be overwritten."""

    def __post_init__(self) -> None:
        check_paths(self.markdown, self.json, self.csv, self.html, inputs=self.inputs)


@dataclass(frozen=True)
class EvaluationRun:
    """Everything that was scored, in the order of the command line."""

    experiments: list[Experiment]
    evaluations: list[Evaluation]
    summaries: list[Summary]
    extra_tables: list[Table]
    """Tables that belong to no single data set: Table 2 of the paper."""

    @property
    def was_interrupted(self) -> bool:
        """True if Ctrl-C ended the run; it holds what was scored by then."""
        return any(evaluation.was_interrupted for evaluation in self.evaluations)

    @property
    def problem_count(self) -> int:
        """Number of pictures that could not be scored."""
        return sum(len(summary.problems) for summary in self.summaries)

    @property
    def models(self) -> list[ModelProvenance]:
        """The models and how they were run."""
        return list(
            dict.fromkeys(model for experiment in self.experiments for model in experiment.models)
        )

    def write(self, reports: ReportPaths, provenance: Provenance) -> list[Path]:
        """Write the reports and return their paths.

        If one fails, the others are written before DataError is raised.
        """
        summaries, evaluations, extra = self.summaries, self.evaluations, self.extra_tables
        writers: list[tuple[Path | None, Callable[[], str]]] = [
            (reports.markdown, partial(as_markdown, summaries, provenance, extra_tables=extra)),
            (
                reports.json,
                partial(as_json, summaries, evaluations, provenance, extra_tables=extra),
            ),
            (reports.csv, partial(as_csv, evaluations)),
            (reports.html, partial(render_page, self._galleries(), provenance, extra_tables=extra)),
        ]
        written, failures = [], list[DataError]()
        for path, make_text in writers:
            if path is None:
                continue
            try:
                write_text(path, make_text())
                written.append(path)
            except DataError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return written

    def raise_for_problems(self) -> None:
        """Raise DataError if pictures are missing, so that no script uses partial means."""
        count = self.problem_count
        if count:
            names = ", ".join(summary.data for summary in self.summaries if summary.problems)
            raise DataError(
                f"{names}: {count} {'thing was' if count == 1 else 'things were'} not scored "
                "(listed above); the figures cover the rest"
            )

    def _galleries(self) -> Iterator[tuple[Summary, Iterator[GalleryEntry]]]:
        for summary, experiment, evaluation in zip(
            self.summaries, self.experiments, self.evaluations, strict=True
        ):
            yield summary, select_gallery(experiment, evaluation)


def evaluate(
    experiments: Sequence[Experiment],
    protocols: Sequence[str],
    *,
    with_table2: bool = False,
    on_sample: Callable[[], None] | None = None,
) -> EvaluationRun:
    """Score all experiments; Ctrl-C ends the one that is running and skips the rest.

    `on_sample` is called after each picture.
    """
    evaluations: list[Evaluation] = []
    protocols = list(dict.fromkeys(protocols))
    for experiment in experiments:
        evaluations.append(experiment.run(protocols, on_sample=on_sample))
        if evaluations[-1].was_interrupted:
            break
    summaries = [summarise(evaluation) for evaluation in evaluations]
    return EvaluationRun(
        list(experiments[: len(evaluations)]),
        evaluations,
        summaries,
        [paper_table2.table(summaries)] if with_table2 else [],
    )
