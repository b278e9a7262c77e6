"""One call of `derain evaluate`: measure, show, write the reports that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.progress import track
from rich.table import Table as RichTable
from rich.text import Text

from derain.errors import DataError
from derain.evaluate import paper_table2, report_files
from derain.evaluate.experiments import Experiment
from derain.evaluate.html_report import GalleryEntry, page, select_gallery
from derain.evaluate.provenance import ModelProvenance, Provenance
from derain.evaluate.scoring import Evaluation, Sample
from derain.evaluate.summary import Summary, summarise
from derain.evaluate.tables import Table, legend, tables_of
from derain.files.atomic import write_text

LEAST_COLUMNS, MOST_COLUMNS = 12, 10_000
"""Of text for a name, and in a table, which is more than any has."""


@dataclass(frozen=True)
class ReportPaths:
    """The files that were asked for. Raises DataError at once for one that could not be written in the end."""

    markdown: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    html: Path | None = None
    inputs: Sequence[Path] = ()
    """Files that are read, and are not to be replaced."""

    def __post_init__(self) -> None:
        report_files.check_paths(self.markdown, self.json, self.csv, self.html, inputs=self.inputs)


@dataclass(frozen=True)
class EvaluationRun:
    """What was measured, in the order in which it was asked for."""

    experiments: list[Experiment]
    evaluations: list[Evaluation]
    summaries: list[Summary]
    further: list[Table]
    "Tables of no one data set: the paper's Table 2, if asked for."

    @property
    def was_interrupted(self) -> bool:
        """Whether Ctrl-C ended it: what was measured by then is in it."""
        return any(evaluation.was_interrupted for evaluation in self.evaluations)

    @property
    def problems(self) -> int:
        """How many pictures could not be scored."""
        return sum(len(summary.problems) for summary in self.summaries)

    @property
    def models(self) -> list[ModelProvenance]:
        """What each model was run with."""
        return list(
            dict.fromkeys(model for experiment in self.experiments for model in experiment.models)
        )

    def show(self, console: Console) -> None:
        """Print every table, then what was matched to what, and the first of what was not scored."""
        for summary in self.summaries:
            for table in tables_of(summary):
                _print(table, console)
            _print_lines("Notes", summary.notes, console)
            _print_lines("Not scored", _first(summary.problems), console)
        _print_lines("Models", list(map(str, self.models)), console)
        _print_lines("How to read this", legend(self.summaries), console)
        for table in self.further:
            _print(table, console)

    def write(self, reports: ReportPaths, provenance: Provenance) -> list[Path]:
        """Write the reports that were asked for, and return their paths. Raises DataError in the end for one that fails."""
        makers: list[tuple[Path | None, Callable[[], str]]] = [
            (
                reports.markdown,
                lambda: report_files.markdown(self.summaries, provenance, further=self.further),
            ),
            (
                reports.json,
                lambda: report_files.as_json(
                    self.summaries, self.evaluations, provenance, further=self.further
                ),
            ),
            (reports.csv, lambda: report_files.as_csv(self.evaluations)),
            (reports.html, lambda: page(self._shows(), provenance, further=self.further)),
        ]
        written, failures = [], list[DataError]()
        for path, make in makers:
            if path is None:
                continue
            try:
                write_text(path, make())
                written.append(path)
            except DataError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return written

    def raise_for_problems(self) -> None:
        """A figure over fewer pictures than asked for must not pass for the whole. Raises DataError if there were problems."""
        if self.problems:
            names = ", ".join(summary.data for summary in self.summaries if summary.problems)
            raise DataError(
                f"{names}: {self.problems} {'thing was' if self.problems == 1 else 'things were'} not scored, as listed; "
                "the figures are over the rest"
            )

    def _shows(self) -> Iterator[tuple[Summary, Iterator[GalleryEntry]]]:
        for summary, experiment, evaluation in zip(
            self.summaries, self.experiments, self.evaluations, strict=True
        ):
            yield summary, select_gallery(experiment, evaluation)


def evaluate(
    experiments: Sequence[Experiment],
    protocols: Sequence[str],
    *,
    with_table2: bool,
    console: Console,
) -> EvaluationRun:
    """Measure every experiment, with a progress bar on `console`, up to one that Ctrl-C ends."""
    evaluations: list[Evaluation] = []
    protocols = list(dict.fromkeys(protocols))
    for experiment in experiments:
        evaluations.append(experiment.run(protocols, samples=_tracked(experiment, console)))
        if evaluations[-1].was_interrupted:
            break
    summaries = [summarise(evaluation) for evaluation in evaluations]
    measured = list(experiments[: len(evaluations)])
    return EvaluationRun(
        measured, evaluations, summaries, [paper_table2.table(summaries)] if with_table2 else []
    )


def _tracked(experiment: Experiment, console: Console) -> Iterable[Sample]:
    return track(experiment.samples, description=experiment.data, console=console, transient=True)


def _print(table: Table, console: Console) -> None:
    console.print(
        Text(table.title, style="bold")
    )  # a title of its own would be broken at the width of the table
    grid = RichTable(box=None, pad_edge=False)
    for index, column in enumerate(table.columns):
        widest = max((Text(row[index]).cell_len for row in table.rows), default=1)
        if index == 0:
            grid.add_column(Text(column), overflow="fold", min_width=min(widest, LEAST_COLUMNS))
            continue
        grid.add_column(Text(column), justify="right", min_width=widest)
    for row in table.rows:
        grid.add_row(*map(Text, row))
    least = Measurement.get(console, console.options.update(max_width=MOST_COLUMNS), grid).minimum
    width = console.width
    console.width = max(width, least)  # a terminal breaks lines where rich would leave out digits
    console.print(grid, crop=False)
    console.width = width
    console.print()
    _print_lines(None, table.notes, console)


def _first(lines: Sequence[str], *, most: int = 20) -> list[str]:
    return [
        *lines[:most],
        *(
            [f"and {len(lines) - most} more, which the written reports list"]
            if len(lines) > most
            else []
        ),
    ]


def _print_lines(title: str | None, lines: Sequence[str], console: Console) -> None:
    if not lines:
        return
    if title:
        console.print(Text(title, style="bold"))
    for line in lines:
        console.print(Text(f"- {line}"))
    console.print()
