"""The write half of the HTTP contract in its shortest form, in memory, with faults on demand."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Answers in the server's place, or lets the request pass with None."""

TOKEN = "owner-token-that-nobody-may-see"


def error(status: int, code: str, message: str = "no", **headers: str) -> web.Response:
    body = {"error": {"type": "t", "code": code, "message": message, "request_id": "r"}}
    return web.json_response(body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})


@dataclass
class ResourceServer:
    """What was written, by whom ever; `faults` are asked before each request, in order, until one answers."""

    manifest: dict[str, Any] | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    requests: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    pause: float = 0.0
    keep_bytes: bool = True

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 << 20, middlewares=[self._guard])
        app.router.add_post("/v1/connectors", self._register)
        app.router.add_get("/v1/state/{connector}", self._get_state)
        app.router.add_put("/v1/state/{connector}", self._put_state)
        app.router.add_post("/v1/blobs", self._upload)
        app.router.add_post("/v1/ingest/{stream}", self._ingest)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return error(401, "authentication_error")
        for fault in self.faults:
            answer = await fault(request)
            if answer is not None:
                return answer
        await asyncio.sleep(self.pause)
        return await handler(request)

    async def _register(self, request: web.Request) -> web.Response:
        self.manifest = await request.json()
        return web.json_response({"connector_id": self.manifest["connector_id"]}, status=201)

    async def _get_state(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "stream_state", "state": self.state})

    async def _put_state(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.state |= json.loads(self.bodies[-1])["state"]
        return web.json_response({"object": "stream_state", "state": self.state})

    async def _upload(self, request: web.Request) -> web.Response:
        content, digest, size = bytearray(), hashlib.sha256(), 0
        async for piece in request.content.iter_any():
            digest.update(piece)
            size += len(piece)
            if self.keep_bytes:
                content += piece
        blob_id = f"blob_b3_{digest.hexdigest()}"
        self.blobs[blob_id] = bytes(content)
        self.claims[request.query["record_key"]] = blob_id
        self.seen["blob_bytes"] += size
        self.seen["uploads"] += 1
        said = {"blob_id": blob_id, "sha256": digest.hexdigest(), "size_bytes": size}
        return web.json_response({"object": "blob", "mime_type": request.query["mime_type"], **said})

    async def _ingest(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.bodies.append(body)
        rejections = []
        lines = body.removesuffix(b"\n").split(b"\n")
        for index, line in enumerate(lines):
            refusal = self._keep(request.match_info["stream"], json.loads(line))
            if refusal:
                rejections.append({"input_index": index, "code": refusal, "message": "no"})
        accepted = len(lines) - len(rejections)
        counts = {"records_accepted": accepted, "records_attempted": len(lines), "records_rejected": len(rejections)}
        return web.json_response({"stream": request.match_info["stream"], **counts, "rejections": rejections})

    def _keep(self, stream: str, line: dict[str, Any]) -> str | None:
        blob = line["data"].get("blob_ref")
        if blob and self.claims.get(line["key"]) != blob["blob_id"]:
            return "blob_not_stored"
        self.records.setdefault(stream, {})[line["key"]] = line["data"]
        self.seen[f"records:{stream}"] += 1
        return None

    @property
    def records_written(self) -> int:
        return sum(count for name, count in self.seen.items() if name.startswith("records:"))

    def statuses(self) -> dict[str, str]:
        return {key: data["hydration_status"] for key, data in self.records.get("files", {}).items()}


@asynccontextmanager
async def serving(server: ResourceServer) -> AsyncIterator[str]:
    """The server on a free port of the loopback interface; gives its address."""
    async with TestServer(server.app()) as running:
        yield str(running.make_url("/")).rstrip("/")
