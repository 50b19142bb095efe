"""A small Hub on the loopback interface that huggingface_hub's own client talks to.

    with HubServer(folder, tokens={"hf_w": {"name": "keras-cr"}}) as hub:
        hub.url  # HF_ENDPOINT

Everything lies in one folder. `fault` makes answers late, broken, cut off or corrupt.
"""

import contextlib
import glob
import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

from tests.hub.handler import Handler
from tests.hub.storage import HubError, git_oid, pointer, shard_files


class HubServer(ThreadingHTTPServer):
    daemon_threads, allow_reuse_address = True, True

    def __init__(
        self, root, tokens=None, cdn_host="localhost", xet=True, part_size=5 * 1024 * 1024, port=0
    ):
        self.root, self.tokens = Path(root).resolve(), tokens or {}
        self.xet, self.part_size, self.page = xet, part_size, 1000
        self.faults, self.log, self.open, self.lock = [], [], set(), threading.RLock()
        for d in ("repos", "blobs", "parts", "cas"):
            (self.root / d).mkdir(parents=True, exist_ok=True)
        super().__init__(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.cdn = (
            f"http://{cdn_host}:{self.server_port}"  # another host name: auth must not leak to it
        )

    def __enter__(self):
        self.thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.shutdown()
        self.server_close()
        self.thread.join()
        for sock in list(self.open):  # kept-alive connections would otherwise go on being served
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def process_request(self, request, address):
        self.open.add(request)
        super().process_request(request, address)

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)

    def fault(self, method, pattern, times=1, **what):
        """what: status=503, headers={...}, truncate=bytes, corrupt=True, delay=s, drop=True"""
        self.faults.append({"method": method, "re": re.compile(pattern), "times": times, **what})

    def handle_error(self, request, address):
        """Clients that are killed, or cut off by a fault, are part of the tests."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, address)

    def take_fault(self, method, path):
        with self.lock:
            for f in self.faults:
                if f["times"] and method in f["method"].split("|") and f["re"].search(path):
                    f["times"] -= 1
                    return f
        return {}

    def put_blob(self, data):
        oid = git_oid(data)
        (self.root / "blobs" / oid).write_bytes(data)
        return {"oid": oid, "size": len(data)}

    def xet_lookup(self, sha256):
        for shard in glob.glob(str(self.root / "cas/xet/xorbs/shards/*.mdb")):
            hit = shard_files(shard).get(sha256)
            if hit:
                return hit

    def lfs_entry(self, sha256, size):
        """Tree entry of a large object that an LFS or a Xet upload has brought; else a 400."""
        blob, xet_hash = self.root / "blobs" / sha256, None
        hit = self.xet_lookup(sha256)
        if hit:
            xet_hash = hit[0]
            if not blob.exists():  # rebuild it from the CAS, so that plain HTTP clients get it too
                import hf_xet

                def clone(old, new):
                    (shutil.copy2 if old.endswith(".redb") else os.link)(old, new)

                with tempfile.TemporaryDirectory(
                    dir=self.root
                ) as tmp:  # a copy: the writer may lock its index
                    shutil.copytree(self.root / "cas", f"{tmp}/cas", copy_function=clone)
                    with hf_xet.XetSession().new_file_download_group(
                        endpoint=f"local://{tmp}/cas"
                    ) as group:
                        group.start_download_file(hf_xet.XetFileInfo(*hit), f"{tmp}/file")
                    digest = hashlib.sha256(Path(f"{tmp}/file").read_bytes()).hexdigest()
                    if digest != sha256:
                        raise HubError(422, f"xet content hashes to {digest}, not {sha256}")
                    os.replace(f"{tmp}/file", blob)
        if not blob.exists():
            raise HubError(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
        size = blob.stat().st_size if size is None else size
        if blob.stat().st_size != size:
            raise HubError(400, "size mismatch")
        entry = {"oid": git_oid(pointer(sha256, size)), "size": size, "lfs": sha256}
        return {**entry, "xet": xet_hash} if xet_hash else entry
