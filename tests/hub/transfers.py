"""Uploads and downloads."""

import base64
import hashlib
import json
import time
from urllib.parse import unquote

from tests.hub.storage import LFS_SUFFIXES, LFS_THRESHOLD, HubError


class Transfers:
    """A part of `Handler`."""

    def preupload(self, kind, id, rev):
        repo, out = self.repo(kind, id, write=True), []
        tree = repo.record(repo.resolve(rev))["tree"]
        for f in self.json["files"]:
            sample = base64.b64decode(f.get("sample", ""))
            big = f["path"].endswith(LFS_SUFFIXES) or f["size"] > LFS_THRESHOLD or b"\0" in sample
            was = tree.get(f["path"], {})
            out.append(
                {
                    "path": f["path"],
                    "uploadMode": "lfs" if big else "regular",
                    "shouldIgnore": False,
                    "oid": was.get("lfs") or was.get("oid"),
                }
            )
        self.send(200, {"files": out, "commitOid": repo.resolve(rev)})

    def lfs_batch(self, kind, id):
        self.repo(kind, id, write=True)
        req, objects, hub = self.json, [], self.server
        multipart = "multipart" in req.get("transfers", [])
        for o in req["objects"]:
            obj = {"oid": o["oid"], "size": o["size"]}
            if not (hub.root / "blobs" / o["oid"]).exists():
                verify = {"href": f"{hub.url}/_lfs/verify", "header": {}}
                if multipart and o["size"] > hub.part_size:
                    n = -(-o["size"] // hub.part_size)
                    header = {
                        str(i): f"{hub.cdn}/_lfs/part/{o['oid']}/{i}" for i in range(1, n + 1)
                    }
                    up = {
                        "href": f"{hub.url}/_lfs/complete/{o['oid']}",
                        "header": {"chunk_size": str(hub.part_size), **header},
                    }
                else:
                    up = {"href": f"{hub.cdn}/_lfs/put/{o['oid']}"}
                obj["actions"] = {"upload": up, "verify": verify}
            objects.append(obj)
        self.send(
            200,
            {"transfer": "multipart" if multipart else "basic", "objects": objects},
            {"Content-Type": "application/vnd.git-lfs+json"},
        )

    def store_lfs(self, oid, data):
        if hashlib.sha256(data).hexdigest() != oid:
            raise HubError(400, "The Content-SHA256 you specified did not match what we received")
        (self.server.root / "blobs" / oid).write_bytes(data)
        self.send(200)

    def lfs_put(self, oid):
        self.store_lfs(oid, self.raw)

    def lfs_part(self, oid, n):
        (self.server.root / "parts" / f"{oid}.{n}").write_bytes(self.raw)
        self.send(200, None, {"ETag": f'"{hashlib.md5(self.raw).hexdigest()}"'})

    def lfs_complete(self, oid):
        parts = [
            self.server.root / "parts" / f"{oid}.{p['partNumber']}" for p in self.json["parts"]
        ]
        self.store_lfs(oid, b"".join(p.read_bytes() for p in parts))
        for p in parts:
            p.unlink()

    def lfs_verify(self):
        blob = self.server.root / "blobs" / self.json["oid"]
        if not blob.exists() or blob.stat().st_size != self.json["size"]:
            raise HubError(404, "object not uploaded")
        self.send(200, {})

    def xet_token(self, kind, id, mode, rev):
        self.repo(kind, id, write=mode == "write", content=mode == "read")
        if not self.server.xet:
            raise HubError(404, "xet is off on this server")
        cas, exp = f"local://{self.server.root}/cas", int(time.time()) + 3600
        self.send(
            200,
            {"casUrl": cas, "accessToken": "xet-test", "exp": exp},
            {
                "X-Xet-Cas-Url": cas,
                "X-Xet-Access-Token": "xet-test",
                "X-Xet-Token-Expiration": str(exp),
            },
        )

    def commit(self, kind, id, rev):
        repo, rev = self.repo(kind, id, write=True), unquote(rev)
        lines = [json.loads(x) for x in self.raw.splitlines() if x.strip()]
        with self.server.lock:
            if rev not in repo.meta["heads"]:
                raise HubError(404, f"Invalid rev id: {rev}", "RevisionNotFound")
            head, head_info = repo.resolve(rev), lines[0]["value"]
            if head_info.get("parentCommit") not in (None, head):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            tree = dict(repo.record(head)["tree"])
            for line in lines[1:]:
                v, key = line["value"], line["key"]
                path = v["path"]
                if key == "file":
                    data = base64.b64decode(v["content"])
                    if len(data) > LFS_THRESHOLD:
                        raise HubError(
                            400, f"{path}: files over 10 MiB must be uploaded with LFS or Xet"
                        )
                    tree[path] = self.server.put_blob(data)
                elif key == "lfsFile":
                    tree[path] = self.server.lfs_entry(v["oid"], v.get("size"))
                elif key == "deletedFile":
                    if tree.pop(path, None) is None:
                        raise HubError(
                            404, f"A file with this name doesn't exist: {path}", "EntryNotFound"
                        )
                elif key == "deletedFolder":
                    tree = {
                        p: e for p, e in tree.items() if not p.startswith(path.rstrip("/") + "/")
                    }
            oid = repo.commit(
                rev, tree, head_info["summary"], head_info.get("description", ""), parent=head
            )
        self.send(
            200,
            {
                "success": True,
                "commitOid": oid,
                "commitUrl": f"{self.server.url}/{id}/commit/{oid}",
                "hookOutput": "",
            },
        )

    def resolve_file(self, kind, id, rev, path):
        repo, hub = self.repo(kind, id, content=True), self.server
        oid = repo.resolve(rev)
        self.extra = {"X-Repo-Commit": oid}
        e = repo.record(oid)["tree"].get(path)
        if e is None:
            raise HubError(404, "Entry not found", "EntryNotFound")
        if "lfs" not in e:
            return self.send_file(
                hub.root / "blobs" / e["oid"], {"ETag": f'"{e["oid"]}"', **self.extra}
            )
        headers = {
            **self.extra,
            "X-Linked-Etag": f'"{e["lfs"]}"',
            "X-Linked-Size": str(e["size"]),
            "ETag": f'"{e["lfs"]}"',
            "Location": f"{hub.cdn}/_cdn/{e['lfs']}",
        }
        if e.get("xet") and hub.xet:
            auth = f"{hub.url}/api/{repo.kind}s/{id}/xet-read-token/{oid}"
            headers.update({"X-Xet-Hash": e["xet"], "Link": f'<{auth}>; rel="xet-auth"'})
        self.send(302, None, headers)

    def cdn_file(self, sha):
        if "Authorization" in self.headers:
            raise HubError(400, "the token leaked to the CDN")
        path = self.server.root / "blobs" / sha
        if not path.exists():
            raise HubError(404, "NoSuchKey")
        self.send_file(path, {"ETag": f'"{sha}"'})
