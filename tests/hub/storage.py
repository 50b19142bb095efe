"""What a Hub keeps: repositories, commits, trees and blobs, in one folder."""

import hashlib
import json
import re
import struct
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

LFS_SUFFIXES = (
    ".h5",
    ".safetensors",
    ".bin",
    ".npz",
    ".keras",
    ".tflite",
    ".onnx",
    ".msgpack",
    ".zip",
)
LFS_THRESHOLD = 10 * 1024 * 1024  # the Hub: > 10 MB, or matched by .gitattributes, or not text


class HubError(Exception):
    def __init__(self, status, message, code=None, **body):
        self.status, self.message, self.code, self.body = status, message, code, body


def git_oid(data, kind=b"blob"):
    return hashlib.sha1(kind + b" %d\0" % len(data) + data).hexdigest()


def pointer(sha256, size):
    return (
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
    )


def shard_files(path):
    """(sha256 -> (xet hash, size)) of every file recorded in one Xet shard (.mdb)."""
    data, pos, out = Path(path).read_bytes(), 48, {}

    def hexed(part):
        return "".join(f"{word:016x}" for word in struct.unpack("<4Q", part))

    while pos + 48 <= len(data) and data[pos : pos + 32] != b"\xff" * 32:
        file_hash, (flags, n) = (
            data[pos : pos + 32],
            struct.unpack("<II", data[pos + 32 : pos + 40]),
        )
        pos += 48
        size = sum(
            struct.unpack("<I", data[pos + 48 * i + 36 : pos + 48 * i + 40])[0] for i in range(n)
        )
        pos += 48 * n * (2 if flags & 0x80000000 else 1)
        if flags & 0x40000000:
            out[hexed(data[pos : pos + 32])] = (hexed(file_hash), size)
            pos += 48
    return out


class Repo:
    def __init__(self, hub, kind, repo_id):
        self.hub, self.kind, self.id = hub, kind, repo_id
        self.dir = hub.root / "repos" / (kind + "s") / repo_id
        self.meta_path = self.dir / "meta.json"

    meta = property(lambda self: json.loads(self.meta_path.read_text()))

    def save(self, meta):
        tmp = self.meta_path.with_suffix(".tmp")
        tmp.write_text(json.dumps(meta))
        tmp.replace(self.meta_path)

    def create(self, private):
        (self.dir / "commits").mkdir(parents=True)
        self.save({"private": private, "gated": False, "heads": {}, "tags": {}, "xet": True})
        attrs = "".join(
            f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LFS_SUFFIXES
        ).encode()
        self.commit("main", {".gitattributes": self.hub.put_blob(attrs)}, "initial commit", "")

    def commit(self, branch, tree, title, body, parent=None):
        record = {
            "parent": parent,
            "tree": tree,
            "title": title,
            "message": body,
            "date": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        raw = json.dumps(record, sort_keys=True).encode() + uuid.uuid4().bytes
        oid = git_oid(raw, b"commit")
        (self.dir / "commits" / f"{oid}.json").write_text(json.dumps(record))
        meta = self.meta
        meta["heads"][branch] = oid
        self.save(meta)
        return oid

    def resolve(self, rev):
        meta, rev = self.meta, unquote(rev)
        for name in (rev, rev.removeprefix("refs/heads/"), rev.removeprefix("refs/tags/")):
            oid = meta["heads"].get(name) or meta["tags"].get(name)
            if oid:
                return oid
        if re.fullmatch(r"[0-9a-f]{7,40}", rev):
            found = list((self.dir / "commits").glob(rev + "*.json"))
            if len(found) == 1:
                return found[0].stem
        raise HubError(404, f"Invalid rev id: {rev}", "RevisionNotFound")

    def record(self, oid):
        return json.loads((self.dir / "commits" / f"{oid}.json").read_text())
