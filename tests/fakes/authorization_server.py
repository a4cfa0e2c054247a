"""The half of the PDPP reference's authorization server that a resource server sees, with faults on demand.

Its answers are those that were observed on the reference, member by member.
"""

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

CLIENT_ID, CLIENT_SECRET = "a-resource-server", "its secret: with a colon"
AUDIENCE = "https://rs.example"
EXP = 4_000_000_000

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Answers in the server's place."""


@dataclass
class AuthorizationServer:
    """`answers` by token; `calls` are the tokens that were asked about, in order. A `fault` answers instead."""

    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    fault: Fault | None = None
    url: str = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/introspect", self._introspect)
        return app

    async def _introspect(self, request: web.Request) -> web.StreamResponse:
        assert request.content_type == "application/x-www-form-urlencoded"
        form = await request.post()
        self.calls.append(str(form["token"]))
        if self.fault is not None:
            return await self.fault(request)
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            body = {"error": {"type": "authentication_error", "code": "context.authentication_failed"}}
            headers = {"WWW-Authenticate": 'Basic realm="introspection"'}
            return web.json_response(body, status=401, headers=headers)
        inactive = {"active": False, "inactive_reason": "context.active_false"}
        return web.json_response(self.answers.get(self.calls[-1], inactive))

    def owner(self, subject: str = "owner_local") -> dict[str, Any]:
        """The answer about an owner's token."""
        return {
            "active": True,
            "pdpp_token_kind": "owner",
            "subject_id": subject,
            "exp": EXP,
            "client_id": "cli_longview",
            "iss": self.url,
            "aud": AUDIENCE,
        }

    def client(self, connector: str, *streams: dict[str, Any], subject: str = "owner_local") -> dict[str, Any]:
        """The answer about a client's token."""
        source = {"kind": "connector", "id": f"https://registry.pdpp.dev/connectors/{connector}"}
        identity = {"grant_id": "grt_1", "client_id": "longview", "subject_id": subject}
        return {
            "active": True,
            "pdpp_token_kind": "client",
            **identity,
            "exp": EXP,
            "iss": self.url,
            "aud": AUDIENCE,
            "authorization_details": [
                {
                    "type": "https://pdpp.dev/data-access",
                    "access_mode": "continuous",
                    "purpose_code": "https://pdpp.dev/purpose/personal-ai",
                    "source": source,
                    "streams": list(streams),
                }
            ],
            "pdpp": {
                "context_kind": "oauth_rar_0_1",
                **identity,
                "issued_at": "2026-08-11T11:55:00Z",
                "source": source,
                "source_declaration": {"version": "1.0.0"},
            },
            "grant_storage_binding": {"connector_id": connector},
        }


@asynccontextmanager
async def authorizing() -> AsyncIterator[AuthorizationServer]:
    """An authorization server on a free port of the loopback interface."""
    server = AuthorizationServer()
    async with TestServer(server.app()) as running:
        server.url = str(running.make_url("/")).rstrip("/")
        yield server
