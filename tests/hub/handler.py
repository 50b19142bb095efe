"""The wire protocol of the Hugging Face Hub, as far as huggingface_hub 2 speaks it.

Repositories, preupload, git-LFS (basic and multipart) and Xet uploads, ndjson commits, branches and
tags, trees, downloads by a redirect to a CDN, ranges, gated and private repositories.
"""

import json
import re
import time
import traceback
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hub.repositories import Repositories
from tests.hub.storage import HubError, Repo
from tests.hub.transfers import Transfers


class Handler(Repositories, Transfers, BaseHTTPRequestHandler):
    """Reads a request, makes what `fault` asked for, finds the method that answers it."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_any(self):
        hub, url = self.server, urlsplit(self.path)
        self.query = {k: v[-1] for k, v in parse_qs(url.query).items()}
        self.user, self.raw = None, b""
        try:
            self.raw = self.read_body()
            hub.log.append(
                {
                    "method": self.command,
                    "path": url.path,
                    "query": self.query,
                    "headers": dict(self.headers),
                    "bytes": len(self.raw),
                    "host": self.headers["Host"],
                }
            )
            self.f = hub.take_fault(self.command, url.path)
            time.sleep(self.f.get("delay", 0))
            if self.f.get("drop"):
                self.close_connection = True
                return self.connection.close()
            if "status" in self.f:
                raise HubError(self.f["status"], "injected fault")
            auth = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if auth and not url.path.startswith("/_"):
                if auth not in hub.tokens:
                    raise HubError(401, "Invalid credentials in Authorization header")
                self.user = {
                    "name": None,
                    "orgs": [],
                    "role": "write",
                    "accepted": [],
                    **hub.tokens[auth],
                }
            for method, pattern, fn in ROUTES:
                m = re.fullmatch(pattern, url.path)
                if m and self.command in method.split("|"):
                    return fn(
                        self,
                        **{
                            k: unquote(v) if v and k != "rev" else v
                            for k, v in m.groupdict().items()
                        },
                    )
            raise HubError(404, "Sorry, we can't find the page you are looking for.")
        except HubError as e:
            headers = {"X-Error-Message": e.message, **self.f.get("headers", {})}
            if e.code:
                headers["X-Error-Code"] = e.code
            headers.update(getattr(self, "extra", {}))
            self.send(e.status, {"error": e.message, **e.body}, headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as e:  # a bug in this file: say so instead of dropping the connection
            traceback.print_exc()
            self.send(500, {"error": repr(e)}, {"X-Error-Message": repr(e)})

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = handle_any

    def read_body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            out = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                out.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(out)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    json = property(lambda self: json.loads(self.raw or b"{}"))

    def send(self, status, body=None, headers=None):
        data = (
            body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        )
        self.send_response(status)
        for k, v in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            cut = self.f.get("truncate")
            self.wfile.write(data if cut is None else data[:cut])
            if cut is not None:
                self.close_connection = True
                self.wfile.flush()
                self.connection.close()

    def send_file(self, path, headers):
        data = Path(path).read_bytes()
        if self.f.get("corrupt"):
            data = data[:-1] + bytes([data[-1] ^ 0xFF])
        status, m = 200, re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **headers}
        if m:
            lo, hi = int(m[1]), min(int(m[2] or len(data) - 1), len(data) - 1)
            if lo >= len(data):
                return self.send(416, None, {"Content-Range": f"bytes */{len(data)}"})
            status, headers["Content-Range"] = 206, f"bytes {lo}-{hi}/{len(data)}"
            data = data[lo : hi + 1]
        self.send(status, data, headers)

    def repo(self, kind, id, write=False, content=False):
        repo = Repo(self.server, kind or "model", id)
        mine = self.user and id.split("/")[0] in (self.user["name"], *self.user["orgs"])
        if not repo.dir.exists() or (repo.meta["private"] and not mine):
            raise HubError(
                404 if self.user else 401,
                "Repository not found" if self.user else "Invalid username or password.",
                "RepoNotFound",
            )
        if write and not self.user:
            raise HubError(401, "Invalid username or password.")
        if write and not (mine and self.user["role"] == "write"):
            raise HubError(403, f"You don't have the rights to write to {id}")
        if (
            content
            and repo.meta["gated"]
            and not mine
            and not (self.user and id in self.user["accepted"])
        ):
            raise HubError(
                403 if self.user else 401, f"Access to model {id} is restricted.", "GatedRepo"
            )
        return repo


API = r"/api/(?P<kind>model|dataset|space)s/(?P<id>[^/]+/[^/]+)"
WEB = r"/(?:(?P<kind>dataset|space)s/)?(?P<id>[^/]+/[^/]+?)"
H = Handler
ROUTES = [
    ("GET", r"/api/whoami-v2", H.whoami),
    ("POST", r"/api/repos/create", H.repo_create),
    ("DELETE", r"/api/repos/delete", H.repo_delete),
    ("POST", r"/api/validate-yaml", H.validate_yaml),
    ("PUT", API + r"/settings", H.repo_settings),
    ("GET|HEAD", API, H.info),
    ("GET|HEAD", API + r"/revision/(?P<rev>[^/]+)", H.info),
    ("GET", API + r"/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?", H.tree),
    ("POST", API + r"/paths-info/(?P<rev>[^/]+)", H.paths_info),
    ("GET", API + r"/refs", H.refs),
    ("GET", API + r"/commits/(?P<rev>[^/]+)", H.commits),
    ("POST|DELETE", API + r"/(?P<what>branch|tag)/(?P<rev>[^/]+)", H.ref_edit),
    ("POST", API + r"/preupload/(?P<rev>[^/]+)", H.preupload),
    ("POST", API + r"/commit/(?P<rev>[^/]+)", H.commit),
    ("GET", API + r"/xet-(?P<mode>read|write)-token/(?P<rev>[^/]+)", H.xet_token),
    ("POST", WEB + r"\.git/info/lfs/objects/batch", H.lfs_batch),
    ("PUT", r"/_lfs/put/(?P<oid>\w+)", H.lfs_put),
    ("PUT", r"/_lfs/part/(?P<oid>\w+)/(?P<n>\d+)", H.lfs_part),
    ("POST", r"/_lfs/complete/(?P<oid>\w+)", H.lfs_complete),
    ("POST", r"/_lfs/verify", H.lfs_verify),
    ("GET|HEAD", r"/_cdn/(?P<sha>\w+)", H.cdn_file),
    ("GET|HEAD", WEB + r"/resolve/(?P<rev>[^/]+)/(?P<path>.+)", H.resolve_file),
]
