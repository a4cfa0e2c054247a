"""Moves central store and catalogue of a data directory, as `topology migrate` does: python -m … DIR URL TOPOLOGY."""

import asyncio
import json
import sys
from pathlib import Path

from records.layout import Topology
from records.moving.centre import move_centre, remove_old_centre


def configure(data: Path, topology: Topology, url: str) -> None:
    """Write down where they are."""
    lines = [f'topology = "{topology}"', 'blobs = "file"']
    lines += [] if topology.is_files else [f"database_url = {json.dumps(url)}"]
    new = data / ".blobstore.toml.new"
    new.write_text("\n".join(lines) + "\n")
    new.rename(data / "blobstore.toml")


async def main(data: Path, url: str, to: Topology) -> None:
    await move_centre(data, to, url, url)
    configure(data, to, url)
    await remove_old_centre(data, to, url)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], Topology(sys.argv[3])))
