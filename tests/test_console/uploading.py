"""How tests of pages put things into a server, over HTTP as any connector does, and sign in to look at them."""

import json
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import APIRequestContext, APIResponse, Browser, Page

from tests.conformance.http.api import MANIFEST, part
from tests.conformance.http.own_server import Target


@dataclass
class Source:
    """A registered connector with the streams of `api.MANIFEST`."""

    api: APIRequestContext
    id: str

    @classmethod
    def registered(cls, api: APIRequestContext, connector: str, **members: Any) -> "Source":
        good(api.post("/v1/connectors", data={"connector_id": connector, **MANIFEST, **members}))
        return cls(api, connector)

    def put(self, stream: str, *records: dict[str, Any]) -> None:
        """Ingest lines of `api.note`; all must be accepted."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        answer = self.api.post(
            f"/v1/ingest/{part(stream)}",
            params={"connector_id": self.id},
            data=lines.encode(),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert good(answer).json()["records_rejected"] == 0, answer.text()

    def upload(self, key: str, data: bytes, media_type: str, stream: str = "notes") -> dict[str, Any]:
        """Upload for a record; the reference to it."""
        answer = self.api.post(
            "/v1/blobs",
            params={"connector_id": self.id, "stream": stream, "record_key": key, "mime_type": media_type},
            data=data,
            headers={"Content-Type": "application/octet-stream"},
        )
        return {name: value for name, value in good(answer).json().items() if name != "object"}


def good(answer: APIResponse) -> APIResponse:
    """The answer, which must be 2xx."""
    assert answer.ok, (answer.status, answer.text())
    return answer


def signed_in(browser: Browser, served: Target, token: str | None = None, **options: Any) -> Page:
    """A page of a browser in which the owner signed in; other options are those of its context."""
    page = browser.new_context(base_url=served.base_url, **options).new_page()
    page.set_default_timeout(20_000)
    page.goto("/console/sign-in")
    page.get_by_label("Owner token").fill(token or served.token)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Overview").wait_for()
    return page
