"""``latbench demo``: the whole way on a small example."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from latbench.cli.options import Latency, seed_option
from latbench.cli.output import emit, note, progress
from latbench.cli.session import current
from latbench.errors import UsageError

_FOLDER = Path("latbench-demo")


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    metavar="report.html",
    help="The report to write.",
)
@click.option(
    "--latency-target",
    type=Latency(),
    metavar="TIME",
    help="The limit of the search.  [default: one that three in ten networks meet]",
)
@click.option(
    "--networks",
    type=click.IntRange(min=8),
    metavar="N",
    help="Networks to measure.  [default: 40]",
)
@click.option(
    "--epochs", type=click.IntRange(min=1), metavar="N", help="Training passes.  [default: 50]"
)
@click.option(
    "--evaluations",
    type=click.IntRange(min=4),
    metavar="N",
    help="Architectures to score.  [default: 120]",
)
@seed_option
def demo(
    out: Path,
    latency_target: float | None,
    networks: int | None,
    epochs: int | None,
    evaluations: int | None,
    seed: int,
) -> None:
    """Go the whole way on a small example, in a few minutes.

    Measures the blocks and 40 networks of digits-mobilenet with ONNX Runtime on this processor,
    fits a predictor, compares true and accumulated latency, searches on handwritten digits,
    exports the network found, and measures it again.
    """
    from latbench.store import Store
    from latbench.training.progress import ProgressBar
    from latbench.workflows import demo as workflow
    from latbench.workflows.reporting import headline

    session = current()
    try:
        _FOLDER.mkdir(exist_ok=True)
    except OSError as failure:
        raise UsageError(f"{_FOLDER} cannot be made here: {failure.strerror}") from failure
    with Store.open(session.store_url or f"sqlite:///{_FOLDER / 'demo.db'}") as store:
        result = workflow.demo(
            store,
            _FOLDER,
            out,
            target_ms=latency_target,
            seed=seed,
            networks=networks or workflow.NETWORKS,
            epochs=epochs or workflow.EPOCHS,
            evaluations=evaluations or workflow.EVALUATIONS,
            progress=progress,
            callbacks=lambda: [ProgressBar()],
            say=note,
        )
    found = result.found
    for sentence in found.notes:
        note(f"Note: {sentence}.")
    following = workflow.next_commands(result.folder)
    document = {
        **found.document(),
        "predictor": result.fitted.scores,
        "noise_mape": result.measured.noise_mape,
        "comparison": result.compared.scores,
        "seconds": result.seconds,
        "report": str(out),
    }

    def render(console: Console) -> None:
        console.print(f"Found {found.space.decode(found.result.x)}", markup=False)
        console.print(headline(found), markup=False)
        console.print(
            f"Report: {out}   Network: {result.folder / 'network.onnx'}   "
            f"({result.seconds:.0f} s)\nTry next: {following[0]}\n      or: {following[1]}",
            markup=False,
        )

    emit(document, render)
