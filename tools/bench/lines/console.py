"""The console's overview in a real browser: when something is first to be seen, of very many records and of none."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice

import msgspec

from tools.bench.bare import BATCH
from tools.bench.client import Client
from tools.bench.figures import Bench, Figure, Goal, Line, Of
from tools.bench.messages import MANIFEST, messages
from tools.bench.peers.programs import program
from tools.browser import chromium
from tools.running import Server, serving

RECORDS = 1_000_000
BODY = 10 * BATCH
"""Lines of one request while the store is filled."""


def overview(bench: Bench) -> Iterator[Figure]:
    """Each paint in a browser that was nowhere yet but for its sign-in, of servers that answered before."""
    with (
        serving(bench.scratch / "full", "bench") as full,
        serving(bench.scratch / "empty", "bench") as empty,
        _browser() as painted,
    ):
        _fill(full, bench.sized(RECORDS))
        yield bench.versus(
            "an empty store", Goal(Of.TIME, 3), lambda: painted(full), nullcontext(lambda: painted(empty))
        )


def _fill(server: Server, count: int) -> None:
    client, lines = Client(server), messages(count)
    client.call("POST", "/v1/connectors", msgspec.json.encode(MANIFEST))
    while some := list(islice(lines, BODY)):
        client.call("POST", "/v1/ingest/messages?connector_id=bench", b"\n".join(some), "application/x-ndjson")
    client.close()


@contextmanager
def _browser() -> Iterator[Callable[[Server], float]]:
    """Tells the seconds until the first contentful paint (W3C Paint Timing) of a server's overview."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, chromium(playwright, program("chromium")) as browser:

        def painted(server: Server) -> float:
            with browser.new_context() as context:
                page = context.new_page()
                page.goto(f"{server.url}/console")
                page.get_by_label("Owner token").fill(server.token)
                page.get_by_role("button", name="Sign in").click()
                page.get_by_role("heading", name="Overview").wait_for()
                page.goto(f"{server.url}/console")
                milliseconds: float = page.evaluate(_PAINTED)
                return milliseconds / 1000

        yield painted


_PAINTED = """() => new Promise(resolve => new PerformanceObserver(
    (list, observer) => {
        const found = list.getEntriesByName("first-contentful-paint");
        if (found.length) { observer.disconnect(); resolve(found[0].startTime); }
    }).observe({ type: "paint", buffered: true }))"""

LINES = (
    Line("console", f"first paint of the console's overview with {RECORDS:,} records", overview, needs=("chromium",)),
)
