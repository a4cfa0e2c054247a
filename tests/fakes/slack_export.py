"""Builds a small Slack export in a directory: with bytes beside it, or with addresses to download from."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CREDENTIAL = "xoxe-111111111111-222222222222-333333333333-deadbeefdeadbeefdeadbeefdeadbeef"
"""Stands in the addresses of an export; nobody may see it elsewhere."""


@dataclass
class SlackExport:
    """Files and messages of one channel; `write` makes the directory what the lists say."""

    root: Path
    base: str = "https://files.slack.com"
    files: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    held: dict[str, bytes] = field(default_factory=dict)

    def add(
        self,
        file_id: str,
        content: bytes | None,
        *,
        name: str = "a.bin",
        credential: str | None = CREDENTIAL,
        size: int | None = None,
        **slack: Any,
    ) -> None:
        """A file; `content` None: the export holds no bytes of it."""
        query = f"?t={credential}" if credential else ""
        declared = len(content or b"") if size is None else size
        address = f"{self.base}/files-pri/T1-{file_id}/download/{name}{query}"
        described = {"id": file_id, "name": name, "mode": "hosted", "mimetype": "application/zip", "filetype": "zip"}
        addresses = {"url_private": address, "url_private_download": address, "size": declared}
        self.files.append({**described, **addresses, **slack})
        if content is not None:
            self.held[file_id] = content

    def say(self, count: int) -> None:
        """So many messages without files."""
        for _ in range(count):
            number = len(self.messages)
            self.messages.append({"type": "message", "ts": f"17{number:08}.000100", "user": "U1", "text": f"m{number}"})

    def write(self) -> Path:
        self._json("channels.json", [{"id": "C1", "name": "general", "created": 1700000000, "members": ["U1"]}])
        self._json("users.json", [{"id": "U1", "name": "ann", "updated": 1700000000}])
        shares = [
            {"type": "message", "ts": f"16{n:08}.000200", "user": "U1", "text": "file", "files": [file]}
            for n, file in enumerate(self.files)
        ]
        self._json("general/2024-01-01.json", shares + self.messages)
        for file in self.files:
            content = self.held.get(file["id"])
            if content is None or "name" not in file:
                continue
            path = self.root / "__uploads" / file["id"] / file["name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        return self.root

    def _json(self, name: str, value: Any) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))
