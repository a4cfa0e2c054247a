"""Mistakes planted into the product, each a change of its text; one whose text is not there any more is an error."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from blobstore.catalogues.sqlite.collection import Collection
from blobstore.catalogues.sqlite.holders import Holders
from blobstore.catalogues.sqlite.uploads import _claim_live
from blobstore.gc import Collector
from records.engines.sqlite.writes import _apply
from records.writing.ingest import Ingest

PACKAGES = ("blobstore", "records")


@dataclass(frozen=True)
class Edit:
    """A piece of text in a function, or in a text that is kept in a module, and what stands there instead."""

    place: Callable[..., Any] | tuple[str, str]
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A mistake: its name, what is edited, and the seed of a run that shows it soon."""

    name: str
    edits: Sequence[Edit]
    seed: int = 0

    def plant(self, patch: pytest.MonkeyPatch) -> None:
        """Make the mistake."""
        functions: dict[str, tuple[Any, str]] = {}
        for edit in self.edits:
            if isinstance(edit.place, tuple):
                module, constant = sys.modules[edit.place[0]], edit.place[1]
                patch.setattr(module, constant, replaced(getattr(module, constant), edit))
            else:
                name = edit.place.__qualname__
                text = functions.get(name, (None, textwrap.dedent(inspect.getsource(edit.place))))[1]
                functions[name] = (edit.place, replaced(text, edit))
        for function, text in functions.values():
            _exchange(patch, function, text)


def replaced(text: str, edit: Edit) -> str:
    assert text.count(edit.old) == 1, f"this stands {text.count(edit.old)} times in {edit.place}: {edit.old}"
    return text.replace(edit.old, edit.new)


def _exchange(patch: pytest.MonkeyPatch, function: Any, text: str) -> None:
    module = sys.modules[function.__module__]
    owner: Any = module
    for name in function.__qualname__.split(".")[:-1]:
        owner = getattr(owner, name)
    made: dict[str, Any] = {}
    exec(compile(text, function.__qualname__, "exec", flags=0, dont_inherit=True), module.__dict__, made)
    (changed,) = made.values()
    patch.setattr(owner, function.__name__, changed)
    for other in list(sys.modules.values()):  # who imported it by name
        if other.__name__.startswith(PACKAGES) and getattr(other, function.__name__, None) is function:
            patch.setattr(other, function.__name__, changed)


MUTANTS = [
    Mutant(
        "the blobs of a batch are held after it was committed",
        [
            Edit(
                Ingest._store,
                "await self._catalogue.hold(self._owner.id, self._holder, wanted, time.time()) if wanted else set()",
                "set()",
            ),
            Edit(
                Ingest._store,
                "parsed.rejected += rejected\n",
                "parsed.rejected += rejected\n"
                "        await self._catalogue.hold(self._owner.id, self._holder, wanted, time.time())\n",
            ),
        ],
        0,
    ),
    Mutant(
        "a condemned generation is claimed by an upload of the same bytes",
        [
            Edit(
                _claim_live,
                "AND state = 'live'",
                "AND state != 'quarantined'",
            )
        ],
        50,
    ),
    Mutant(
        "holders and claims are not looked for again when a blob is condemned",
        [Edit(Collection.condemn, "AND {UNUSED}", "AND 1")],
        42,
    ),
    Mutant(
        "a holder goes whatever its version is",
        [Edit(Holders.release, "AND version = ?", "AND ? > 0")],
        132,
    ),
    Mutant(
        "links are counted before the versions of holders are read",
        [
            Edit(
                Collector.release,
                "held = await self._catalogue.holders(namespace, holder, digests)",
                "gone = await self._links.recount(namespace, holder, digests)\n"
                "    held = await self._catalogue.holders(namespace, holder, digests)",
            ),
            Edit(
                Collector.release,
                "await self._links.recount(namespace, holder, [row.digest for row in held])",
                "gone",
            ),
        ],
        44,
    ),
    Mutant(
        "a batch is committed whatever was released since its blobs were held",
        [
            Edit(
                _apply,
                "batch.release_epoch not in (None, found.release_epoch)",
                "False",
            )
        ],
        7,
    ),
    Mutant(
        "the epoch of a batch is ignored",
        [Edit(_apply, "batch.epoch != found.epoch", "False")],
        121,
    ),
]
