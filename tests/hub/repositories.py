"""Answers about accounts, repositories, trees, branches and tags."""

import re
import shutil
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.storage import HubError, Repo, git_oid, pointer


class Repositories:
    """A part of `Handler`."""

    def whoami(self):
        if not self.user:
            raise HubError(401, "Invalid username or password.")
        self.send(
            200,
            {
                "type": "user",
                "id": "1",
                "name": self.user["name"],
                "fullname": self.user["name"],
                "orgs": [{"name": o} for o in self.user["orgs"]],
                "auth": {"accessToken": {"displayName": "t", "role": self.user["role"]}},
            },
        )

    def repo_create(self):
        p = self.json
        if not self.user:
            raise HubError(401, "Invalid username or password.")
        kind, ns = p.get("type") or "model", p.get("organization") or self.user["name"]
        if self.user["role"] != "write" or ns not in (self.user["name"], *self.user["orgs"]):
            raise HubError(
                403, f'You don\'t have the rights to create a {kind} under the namespace "{ns}"'
            )
        repo = Repo(self.server, kind, f"{ns}/{p['name']}")
        url = f"{self.server.url}/{'' if kind == 'model' else kind + 's/'}{repo.id}"
        with self.server.lock:
            if repo.dir.exists():
                raise HubError(409, f"You already created this {kind} repo", url=url)
            repo.create(p.get("private", p.get("visibility") == "private"))
        self.send(200, {"url": url, "name": repo.id, "id": repo.id})

    def repo_delete(self):
        p = self.json
        repo = self.repo(
            p.get("type"), f"{p.get('organization') or self.user['name']}/{p['name']}", write=True
        )
        shutil.rmtree(repo.dir)
        self.send(200, {})

    def repo_settings(self, kind, id):
        repo, p = self.repo(kind, id, write=True), self.json
        p["private"] = p.get("private", p.pop("visibility", None) == "private")
        repo.save({**repo.meta, **{k: v for k, v in p.items() if k in ("private", "gated")}})
        self.send(200, {})

    def validate_yaml(self):
        m = re.match(r"\s*---\r?\n(.*?)\r?\n---", self.json["content"], re.S)
        try:
            import yaml

            ok = bool(m) and isinstance(yaml.safe_load(m[1]), dict)
        except yaml.YAMLError as e:
            return self.send(400, {"errors": [{"message": str(e)}], "warnings": []})
        self.send(
            200,
            {
                "errors": [],
                "warnings": [] if ok else [{"message": "empty or missing yaml metadata"}],
            },
        )

    def info(self, kind, id, rev=None):
        repo = self.repo(kind, id)
        oid, meta = repo.resolve(rev or "main"), repo.meta
        rec, blobs = repo.record(oid), self.query.get("blobs")
        siblings = [
            {
                "rfilename": p,
                **({"size": e["size"], "blobId": e["oid"], **self.lfs(e)} if blobs else {}),
            }
            for p, e in sorted(rec["tree"].items())
        ]
        card = self.card(rec["tree"].get("README.md"))
        self.send(
            200,
            {
                "_id": "0",
                "id": id,
                "modelId": id,
                "sha": oid,
                "private": meta["private"],
                "gated": meta["gated"],
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "cardData": card,
                "tags": card.get("tags", []),
                "library_name": card.get("library_name"),
                "pipeline_tag": card.get("pipeline_tag"),
                "lastModified": rec["date"],
                "createdAt": rec["date"],
                "siblings": siblings,
            },
        )

    def card(self, entry):
        import yaml

        text = (self.server.root / "blobs" / entry["oid"]).read_text() if entry else ""
        m = re.match(r"\s*---\r?\n(.*?)\r?\n---", text, re.S)
        return (yaml.safe_load(m[1]) if m else None) or {}

    def lfs(self, e):
        if "lfs" not in e:
            return {}
        sizes = {"size": e["size"], "pointerSize": len(pointer(e["lfs"], e["size"]))}
        # /tree and /paths-info call the hash "oid", model_info(files_metadata=True) "sha256"
        return {
            "lfs": {"oid": e["lfs"], "sha256": e["lfs"], **sizes},
            **({"xetHash": e["xet"]} if e.get("xet") else {}),
        }

    def tree_item(self, path, e):
        return {"type": "file", "path": path, "oid": e["oid"], "size": e["size"], **self.lfs(e)}

    def tree(self, kind, id, rev, path=""):
        repo = self.repo(kind, id)
        rec, path = repo.record(repo.resolve(rev)), (path or "").strip("/")
        below = {p: e for p, e in rec["tree"].items() if not path or p.startswith(path + "/")}
        if not below and path:
            raise HubError(404, f'{path} does not exist on "{rev}"', "EntryNotFound")
        items, start = {}, len(path) + 1 if path else 0
        for p, e in below.items():
            parts = p[start:].split("/")
            for i in range(1, len(parts)):
                d = p[:start] + "/".join(parts[:i])
                items[d] = {
                    "type": "directory",
                    "path": d,
                    "oid": git_oid(d.encode(), b"tree"),
                    "size": 0,
                }
            items[p] = self.tree_item(p, e)
        if self.query.get("recursive", "").lower() not in ("true", "1"):
            items = {p: i for p, i in items.items() if "/" not in p[start:]}
        rows, at = [items[p] for p in sorted(items)], int(self.query.get("cursor", 0))
        headers, more = {}, at + self.server.page
        if more < len(rows):
            q = "&".join(f"{k}={v}" for k, v in {**self.query, "cursor": more}.items())
            headers["Link"] = f'<{self.server.url}{urlsplit(self.path).path}?{q}>; rel="next"'
        self.send(200, rows[at:more], headers)

    def paths_info(self, kind, id, rev):
        repo = self.repo(kind, id)
        tree = repo.record(repo.resolve(rev))["tree"]
        form = parse_qs(self.raw.decode())
        self.send(200, [self.tree_item(p, tree[p]) for p in form.get("paths", []) if p in tree])

    def refs(self, kind, id):
        meta, out = self.repo(kind, id).meta, {"converts": [], "pullRequests": []}
        for key, name, ref in (
            ("branches", "heads", "refs/heads/"),
            ("tags", "tags", "refs/tags/"),
        ):
            out[key] = [
                {"name": n, "ref": ref + n, "targetCommit": o} for n, o in meta[name].items()
            ]
        self.send(200, out)

    def commits(self, kind, id, rev):
        repo, rows = self.repo(kind, id), []
        oid = repo.resolve(rev)
        while oid:
            rec = repo.record(oid)
            rows.append(
                {
                    "id": oid,
                    "title": rec["title"],
                    "message": rec["message"],
                    "date": rec["date"],
                    "authors": [],
                }
            )
            oid = rec["parent"]
        self.send(200, rows)

    def ref_edit(self, kind, id, what, rev):
        repo, p, rev = self.repo(kind, id, write=True), self.json, unquote(rev)
        with self.server.lock:
            meta = repo.meta
            group = meta["heads" if what == "branch" else "tags"]
            if self.command == "DELETE":
                if group.pop(rev, None) is None:
                    raise HubError(404, f"{what} not found", "RevisionNotFound")
            else:
                name, start = (
                    (rev, p.get("startingPoint") or "main") if what == "branch" else (p["tag"], rev)
                )
                if name in group:
                    raise HubError(409, f"Reference already exists: {name}")
                group[name] = repo.resolve(start)
            repo.save(meta)
        self.send(200, {})
