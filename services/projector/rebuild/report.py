"""The text that `hourbook audit verify` prints."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from services.projector.rebuild.verification import Report


def report_lines(report: Report, seconds: float) -> Iterator[str]:
    """The lines of the report. `seconds` is how long the verification took."""
    yield f"events       {report.events:,} in {seconds:.1f} s"
    yield f"root         {base64.b64encode(report.root).decode()}"
    unsealed = report.events - report.sealed
    yield f"sealed       {report.sealed:,}" + (f" ({unsealed:,} more are not sealed yet)" if unsealed > 0 else "")
    yield f"checkpoints  {report.checkpoints:,} stored, all looked at; signed by {report.signer or 'nobody trusted'}"
    yield f"replayed     {report.replayed:,} events into fresh tables"
    for model in report.models:
        yield f"  {model.model:<20} {model.cells:>15,} cells, {model.different:,} different"
        for example in model.examples:
            yield f"    live <> replayed: {example}"
    yield f"cells        {sum(model.cells for model in report.models):,} compared"
    yield f"differences  {sum(model.different for model in report.models):,}"
    for problem in report.wrong:
        yield f"WRONG        {problem}"
    yield "verified" if report.holds else "NOT VERIFIED"
