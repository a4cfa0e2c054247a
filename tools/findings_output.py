"""How findings are printed, each as soon as it is known: as objects for programs, as sentences for people."""

from collections import Counter
from typing import Protocol

import click

from blobstore.findings import Finding, Severity
from tools.json_array import JsonArray


class Printer(Protocol):
    """Where findings go."""

    def show(self, finding: Finding, *, repaired: bool) -> None:
        """The next finding; `repaired`: it is all right now."""
        ...

    def finish(self, *, complete: bool) -> None:
        """There are no more; `complete`: everything was checked."""
        ...


class AsJson:
    """One array, whatever happens."""

    def __init__(self) -> None:
        self._array = JsonArray()

    def show(self, finding: Finding, *, repaired: bool) -> None:
        self._array.add(
            {
                "kind": finding.kind,
                "severity": finding.severity,
                "subject": finding.subject,
                "message": finding.message,
                "repair": finding.repair,
                "repaired": repaired,
            }
        )

    def finish(self, *, complete: bool) -> None:
        self._array.close()


class AsText:
    """Two lines for each, and a last one that sums up. `repairing`: everything was tried that could be."""

    def __init__(self, *, repairing: bool) -> None:
        self._repairing = repairing
        self._counts: Counter[Severity] = Counter()
        self._mendable = 0

    def show(self, finding: Finding, *, repaired: bool) -> None:
        self._counts[finding.severity] += 1
        self._mendable += finding.repair is not None and not repaired
        click.echo(f"{finding.severity}: {finding.kind}: {finding.subject}\n    {finding.message}")
        if finding.repair is not None:
            tried = "tried, and something is left to do" if self._repairing else "--repair would"
            click.echo(f"    {'repaired' if repaired else tried}: {finding.repair}")

    def finish(self, *, complete: bool) -> None:
        if not complete:
            return
        if not self._counts:
            click.echo("nothing is wrong")
            return
        counts = ", ".join(f"{self._counts[severity]} {name}" for severity, name in _PLURALS)
        left = "{} of these could not be mended" if self._repairing else "--repair would try to mend {}"
        click.echo(f"{counts}; {left.format(self._mendable)}" if self._mendable else counts)


_PLURALS = ((Severity.ERROR, "errors"), (Severity.DEBRIS, "debris"), (Severity.NOTE, "notes"))
