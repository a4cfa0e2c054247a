"""A server in a process of its own, and a client of it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.test_server.test_connection import MANIFEST


@dataclass
class Child:
    """A server in a process of its own."""

    process: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    async def ended(self, within: float) -> int:
        return await asyncio.wait_for(self.process.wait(), within)

    def memory(self) -> int:
        """Resident bytes at their highest since the last reset."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10

    def reset_memory(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@asynccontextmanager
async def serving(token: str, program: str, *arguments: str) -> AsyncIterator[Child]:
    """It runs the program, which prints its address once it is ready; killed at the end where it has not ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        url = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        async with aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {token}"}) as session:
            await session.post("/v1/connectors", json=MANIFEST)
            yield Child(process, url, session)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
