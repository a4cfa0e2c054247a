"""Two exports side by side: the same files, equal but for the ids that a server gave to accounts.

Digests of files stand in the manifests and follow from the files. So each manifest is checked against its own bag, and
what it lists is compared as files.
"""

import tarfile
from io import BytesIO

from blobstore.digest import Hasher
from tools.oracle.matching import Matching, Unlike

_MANIFESTS = ("manifest-", "tagmanifest-")


def require_alike(ours: bytes, theirs: bytes, matching: Matching) -> None:
    """Raise `Unlike` where they differ."""
    if matching.translated(ours) == theirs:
        return
    mine, others = _Bag(ours), _Bag(theirs)
    mine.require_sound()
    others.require_sound()
    names = [matching.translated_text(name) for name in mine.files]
    if sorted(names) != sorted(others.files):
        raise Unlike(f"export: the files differ: {sorted(set(names) ^ set(others.files))[:10]}")
    for name, (head, data) in mine.files.items():
        there = matching.translated_text(name)
        other_head, other = others.files[there]
        if head != other_head:
            raise Unlike(f"export: {there}: {head} and {other_head}")
        if not there.rpartition("/")[2].startswith(_MANIFESTS) and matching.translated_binary(data) != other:
            raise Unlike(f"export: {there} differs")


class _Bag:
    """The files of an archive by name: mode, owner, time and size, and the bytes."""

    def __init__(self, archive: bytes) -> None:
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            self.files = {
                each.name: ((each.mode, each.uid, each.gid, each.mtime, each.size), self._bytes(tar, each))
                for each in tar
                if each.isfile()
            }

    def _bytes(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
        file = tar.extractfile(member)
        return b"" if file is None else file.read()

    def require_sound(self) -> None:
        """Every manifest lists the digests of the files that are there."""
        for name, (_, text) in self.files.items():
            folder, _, file = name.rpartition("/")
            if file.startswith(_MANIFESTS):
                for line in text.decode().splitlines():
                    digest, _, path = line.partition("  ")
                    if digest != self._digest(file, f"{folder}/{path}"):
                        raise Unlike(f"export: {name} does not tell the truth of {path}")

    def _digest(self, manifest: str, path: str) -> str | None:
        if path not in self.files:
            return None
        hasher = Hasher()
        hasher.update(self.files[path][1])
        found = hasher.finish()
        return found.sha256.hex() if manifest.endswith("-sha256.txt") else found.digest.hex
