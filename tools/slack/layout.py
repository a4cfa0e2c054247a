"""Recognises in what form a path holds a Slack workspace."""

import zipfile
from pathlib import Path

from tools.slack import archive, chunks, dump, export
from tools.slack.source import Source, SourceError
from tools.slack.tree import DirectoryTree, Tree, ZipTree, rooted

_FORMS = (
    "a slackdump archive (a directory with slackdump.sqlite), a Slack export (a directory or zip with channels.json "
    "and users.json), or a slackdump dump"
)


def open_source(path: Path) -> Source:
    """The workspace at `path`: a slackdump archive, dump or chunk files, or a Slack export, directory or zip.

    Never writes there. Raises `SourceError`, with advice, when `path` is none of these or cannot be read.
    """
    try:
        if path.is_dir():
            return _open_directory(path)
        if path.exists() and not path.is_file():  # to open a pipe waits for who writes into it
            raise SourceError(f"{path} is no regular file; give {_FORMS}")
        with path.open("rb") as stream:
            magic = stream.read(16)
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error
    if magic == archive.SQLITE_MAGIC:
        return archive.open_archive(path)
    if magic[:2] == b"\x1f\x8b" and chunks.is_chunks(path):
        return chunks.open_chunks([path])
    if magic[:1] in (b"{", b"\xef") and path.suffix == ".json":
        return _open_conversation(path)
    if magic[:4] == b"PK\x03\x04" or zipfile.is_zipfile(path):
        return _open_zip(path)
    raise SourceError(f"{path} is no Slack workspace; give {_FORMS}")


def _open_directory(path: Path) -> Source:
    if (path / archive.DATABASE).is_file():
        return archive.open_archive(path / archive.DATABASE)
    if files := [file for file in path.glob("*.json.gz") if chunks.is_chunks(file)]:
        return chunks.open_chunks(files)
    if any((path / name).is_file() for name in export.LISTS):
        return export.open_export(DirectoryTree(path))
    if any(path.glob("*.json")):
        tree = DirectoryTree(path)
        members = list(tree.members())
        if dump.is_dump(tree, members):
            return dump.open_dump(tree, members)
    raise SourceError(f"{path} holds no Slack workspace; give {_FORMS}{_nearby(path)}")


def _open_conversation(path: Path) -> Source:
    tree = DirectoryTree(path.parent)
    members = [tree.member(path.name), *tree.members(path.stem)]
    if dump.is_dump(tree, members):
        return dump.open_dump(tree, members)
    raise SourceError(f"{path} is no dumped conversation; give {_FORMS}")


def _nearby(path: Path) -> str:
    """Advice where the workspace lies one folder deeper."""
    for folder in sorted(path.iterdir()):
        landmarks = (folder / archive.DATABASE, *(folder / name for name in export.LISTS))
        if folder.is_dir() and any(landmark.is_file() for landmark in landmarks):
            return f". Did you mean {folder}?"
    return ""


def _open_zip(path: Path) -> Source:
    tree: Tree = ZipTree(path)
    try:
        members = list(tree.members())
        if dump.is_dump(tree, members):
            return dump.open_dump(tree, members)
        exported = rooted(tree, export.LISTS)
        if any("/" not in member.where and member.where in export.LISTS for member in exported.members()):
            return export.open_export(exported)
        if any(member.where.endswith(archive.DATABASE) for member in members):
            raise SourceError(f"{path} is a zipped slackdump archive; unzip it and give the directory")
        raise SourceError(f"{path} holds no Slack workspace; give {_FORMS}")
    except SourceError:
        tree.close()
        raise
