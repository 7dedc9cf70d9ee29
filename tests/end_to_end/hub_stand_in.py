"""A stand-in of the Hugging Face hub for models: python hub_stand_in.py FOLDER TOKEN.

It speaks what `huggingface_hub` speaks with the hub without Xet: create a repository, ask how each file is to be sent,
send large files to the large file storage and small ones with the commit, tag; list and resolve to download. The first
line that it prints is its address. Files lie in FOLDER under their SHA-256; the rest is kept in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

GITATTRIBUTES = b"*.pt filter=lfs diff=lfs merge=lfs -text\n*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
MODEL = r"/api/models/(?P<model>[^/]+/[^/]+)"


class RefusedError(Exception):
    def __init__(self, status: int, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.status, self.code = status, code


class Store:
    """Repositories: per name the visibility, the commits (path -> SHA-256) and the tags."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models: dict[str, dict[str, Any]] = {}

    def keep(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / digest).write_bytes(content)
        return digest

    def read(self, digest: str) -> bytes:
        return (self.folder / digest).read_bytes()

    def model(self, name: str) -> dict[str, Any]:
        if name not in self.models:
            raise RefusedError(404, "Repository not found", "RepoNotFound")
        return self.models[name]

    def commit(self, name: str, changes: dict[str, str]) -> str:
        model = self.model(name)
        files = {**(model["commits"][model["main"]] if model["main"] else {}), **changes}
        identifier = hashlib.sha1(json.dumps([len(model["commits"]), files]).encode()).hexdigest()
        model["commits"][identifier], model["main"] = files, identifier
        return identifier

    def resolve(self, name: str, revision: str) -> tuple[str, dict[str, str]]:
        model = self.model(name)
        known = {"main": model["main"], **model["tags"], **{commit: commit for commit in model["commits"]}}
        if revision not in known:
            raise RefusedError(404, f"Revision not found: {revision}", "RevisionNotFound")
        return known[revision], model["commits"][known[revision]]


def is_large(content: bytes) -> bool:
    """The hub sends binary files to the large file storage."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return True
    return b"\0" in content


def git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        try:
            # what is sent to the large file storage is signed by its address, not by the token
            if not path.startswith("/storage/") and self.headers.get("Authorization") != f"Bearer {self.server.token}":
                raise RefusedError(401, "Invalid username or password.")
            for wanted, pattern, function in ROUTES:
                match = re.fullmatch(pattern, path)
                if match and method in wanted:
                    parts = {key: unquote(value) for key, value in match.groupdict().items()}
                    function(self, body, **parts)
                    return
            raise RefusedError(404, f"{method} {path} is not known to the stand-in")
        except RefusedError as refused:
            headers = {"X-Error-Message": str(refused), **({"X-Error-Code": refused.code} if refused.code else {})}
            self.send({"error": str(refused)}, status=refused.status, **headers)

    def send(self, content: Any, status: int = 200, **headers: str) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        plain = {"Content-Type": "application/octet-stream" if content is data else "application/json"}
        for name, value in {**plain, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def create(self, body: bytes) -> None:
        wanted, store = json.loads(body), self.server.store
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in store.models:
            raise RefusedError(409, "You already created this model repo")
        store.models[name] = {"private": wanted["visibility"] == "private", "commits": {}, "main": None, "tags": {}}
        store.commit(name, {".gitattributes": store.keep(GITATTRIBUTES)})
        self.send({"url": f"{self.server.address}/{name}"})

    def check_card(self, body: bytes) -> None:
        """The hub reads the block between two lines `---` at the top of the model card."""
        header = re.match(r"---\n(.*?)\n---\n", json.loads(body)["content"], re.DOTALL)
        if not header or not isinstance(yaml.safe_load(header[1]), dict):
            self.send({"errors": [{"message": "no metadata"}], "warnings": []}, status=400)
        else:
            self.send({"errors": [], "warnings": []})

    def preupload(self, body: bytes, model: str, revision: str) -> None:
        self.server.store.resolve(model, revision)
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if is_large(base64.b64decode(file["sample"])) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self.send({"files": modes})

    def batch(self, body: bytes, model: str) -> None:
        self.server.store.model(model)
        objects = [
            {
                **wanted,
                "actions": {
                    "upload": {"href": f"{self.server.address}/storage/{wanted['oid']}"},
                    "verify": {"href": f"{self.server.address}/verify"},
                },
            }
            for wanted in json.loads(body)["objects"]
        ]
        self.send({"transfer": "basic", "objects": objects})

    def upload(self, body: bytes, digest: str) -> None:
        if hashlib.sha256(body).hexdigest() != digest:
            raise RefusedError(400, "The content is not that of the address")
        self.server.store.keep(body)
        self.send(b"")

    def verify(self, body: bytes) -> None:
        wanted = json.loads(body)
        if not (self.server.store.folder / wanted["oid"]).is_file():
            raise RefusedError(404, "No such object")
        self.send({})

    def commit(self, body: bytes, model: str, revision: str) -> None:
        store, changes = self.server.store, {}
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                changes[value["path"]] = store.keep(base64.b64decode(value["content"]))
            elif entry["key"] == "lfsFile":
                store.read(value["oid"])
                changes[value["path"]] = value["oid"]
        identifier = store.commit(model, changes)
        address = f"{self.server.address}/{model}/commit/{identifier}"
        self.send({"success": True, "commitUrl": address, "commitOid": identifier, "hookOutput": ""})

    def tag(self, body: bytes, model: str, revision: str) -> None:
        tags, name = self.server.store.model(model)["tags"], json.loads(body)["tag"]
        if name in tags:
            raise RefusedError(409, "Tag already exists")
        tags[name] = self.server.store.resolve(model, revision)[0]
        self.send({})

    def refs(self, body: bytes, model: str) -> None:
        found = self.server.store.model(model)
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": commit} for n, commit in found["tags"].items()]
        branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": found["main"]}]
        self.send({"branches": branches, "tags": tags, "converts": []})

    def info(self, body: bytes, model: str, revision: str = "main") -> None:
        commit, files = self.server.store.resolve(model, revision)
        private = self.server.store.model(model)["private"]
        siblings = [{"rfilename": path} for path in files]
        self.send({"id": model, "sha": commit, "private": private, "siblings": siblings, "tags": [], "downloads": 0})

    def tree(self, body: bytes, model: str, revision: str) -> None:
        entries = []
        for path, digest in self.server.store.resolve(model, revision)[1].items():
            content = self.server.store.read(digest)
            entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_id(content)}
            if is_large(content):
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
            entries.append(entry)
        self.send(entries)

    def file(self, body: bytes, model: str, revision: str, path: str) -> None:
        commit, files = self.server.store.resolve(model, revision)
        if path not in files:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        content = self.server.store.read(files[path])
        etag = files[path] if is_large(content) else git_id(content)
        self.send(content, ETag=f'"{etag}"', **{"X-Repo-Commit": commit})


ROUTES: tuple[tuple[tuple[str, ...], str, Callable[..., None]], ...] = (
    (("POST",), r"/api/repos/create", Hub.create),
    (("POST",), r"/api/validate-yaml", Hub.check_card),
    (("POST",), MODEL + r"/preupload/(?P<revision>[^/]+)", Hub.preupload),
    (("POST",), r"/(?P<model>[^/]+/[^/]+)\.git/info/lfs/objects/batch", Hub.batch),
    (("PUT",), r"/storage/(?P<digest>[0-9a-f]{64})", Hub.upload),
    (("POST",), r"/verify", Hub.verify),
    (("POST",), MODEL + r"/commit/(?P<revision>[^/]+)", Hub.commit),
    (("POST",), MODEL + r"/tag/(?P<revision>[^/]+)", Hub.tag),
    (("GET",), MODEL + r"/refs", Hub.refs),
    (("GET",), MODEL, Hub.info),
    (("GET",), MODEL + r"/revision/(?P<revision>[^/]+)", Hub.info),
    (("GET",), MODEL + r"/tree/(?P<revision>[^/]+)", Hub.tree),
    (("GET", "HEAD"), r"/(?P<model>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Hub.file),
)


class HubServer(ThreadingHTTPServer):
    def __init__(self, folder: Path, token: str) -> None:
        super().__init__(("127.0.0.1", 0), Hub)
        self.store = Store(folder)
        self.token = token
        self.address = f"http://127.0.0.1:{self.server_port}"


if __name__ == "__main__":
    storage = Path(sys.argv[1])
    storage.mkdir(parents=True, exist_ok=True)
    hub = HubServer(storage, sys.argv[2])
    print(hub.address, flush=True)
    hub.serve_forever()
