"""Writes a file of each kind, of the present version, to `tests/golden`: run once for each version that is released."""

import tempfile
from pathlib import Path
from sqlite3.dump import _iterdump  # type: ignore[attr-defined]  # of any connection; the module itself opens nothing

from blobstore.sqlite import sqlite3
from tests.fakes.data_directory import make

GOLDEN = Path(__file__).parents[1] / "golden"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        stored = make(Path(folder) / "data")
        files = {
            "central": stored.data / "central.db",
            "catalogue": stored.data / "catalogue.db",
            "records": stored.data / "records" / f"{stored.ann}.db",
        }
        for kind, path in files.items():
            db = sqlite3.connect(path)
            (version,) = db.execute("PRAGMA user_version").fetchone()
            lines = [f"PRAGMA user_version = {version};", *_iterdump(db)]
            (GOLDEN / f"{kind}-{version & 0xFFFF}.sql").write_text("\n".join(lines) + "\n")
            db.close()


if __name__ == "__main__":
    main()
