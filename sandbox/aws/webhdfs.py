"""WebHDFS in front of the S3 store: Hadoop's own client in PySpark reads and writes s3:// through it.

S3 has no directories: a directory is a prefix with objects below it, or an empty marker object that ends in `/`.
Renaming a directory drops its markers, so that none reaches the lake.
"""

import json
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from sandbox.aws.backends import S3Object, S3Store

ROOT = "/webhdfs/v1/"
Json = dict[str, Any]


class WebHdfs:
    """Answers WebHDFS calls below /webhdfs/v1/<bucket>/<key>."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._operations: dict[str, Callable[[Request, str, str], Response]] = {
            "GETFILESTATUS": self._status,
            "LISTSTATUS": self._list,
            "GET_BLOCK_LOCATIONS": self._blocks,
            "GETFILEBLOCKLOCATIONS": self._blocks,
            "OPEN": self._open,
            "CREATE": self._create,
            "MKDIRS": self._mkdirs,
            "RENAME": self._rename,
            "DELETE": self._delete,
        }

    def answer(self, request: Request) -> Response:
        """Answer one call; unknown operations and missing paths as Hadoop expects them."""
        operation = request.args.get("op", "").upper()
        if operation == "GETHOMEDIRECTORY":
            return _json({"Path": "/"})
        handler = self._operations.get(operation)
        bucket, _, key = request.path.removeprefix(ROOT).partition("/")
        if handler is None or not bucket:
            return _refuse(400, "UnsupportedOperationException", f"{operation} {request.path}")
        try:
            return handler(request, bucket, key.rstrip("/"))
        except FileNotFoundError as error:
            return _refuse(404, "FileNotFoundException", f"File does not exist: {error}")

    def _stat(self, bucket: str, key: str) -> Json:
        found = self._store.find(bucket, key) if key else None
        if found is not None:
            return _entry("", "FILE", found)
        if not key or self._below(bucket, key):
            return _entry("", "DIRECTORY")
        raise FileNotFoundError(f"s3://{bucket}/{key}")

    def _below(self, bucket: str, key: str) -> list[S3Object]:
        return self._store.list(bucket, f"{key}/" if key else "")

    def _status(self, _request: Request, bucket: str, key: str) -> Response:
        return _json({"FileStatus": self._stat(bucket, key)})

    def _list(self, _request: Request, bucket: str, key: str) -> Response:
        status = self._stat(bucket, key)
        if status["type"] == "FILE":
            return _json({"FileStatuses": {"FileStatus": [status]}})
        prefix = f"{key}/" if key else ""
        entries: dict[str, Json] = {}
        for found in self._below(bucket, key):
            name, slash, _ = found.key.removeprefix(prefix).partition("/")
            if name:
                entries[name] = _entry(name, "DIRECTORY") if slash else _entry(name, "FILE", found)
        return _json({"FileStatuses": {"FileStatus": list(entries.values())}})

    def _blocks(self, _request: Request, bucket: str, key: str) -> Response:
        located = {"fileLength": self._stat(bucket, key)["length"], "isUnderConstruction": False}
        blocks = {**located, "locatedBlocks": [], "lastLocatedBlock": None, "isLastBlockComplete": True}
        return _json({"LocatedBlocks": blocks, "BlockLocations": {"BlockLocation": []}})

    def _open(self, request: Request, bucket: str, key: str) -> Response:
        body = self._store.read(bucket, key)
        if body is None:
            raise FileNotFoundError(f"s3://{bucket}/{key}")
        if "data" not in request.args:
            return _redirect(request)
        start = request.args.get("offset", 0, type=int)
        length = request.args.get("length", len(body), type=int)
        return Response(body[start : start + length], content_type="application/octet-stream")

    def _create(self, request: Request, bucket: str, key: str) -> Response:
        if "data" not in request.args:
            return _redirect(request)
        self._store.write(bucket, key, request.get_data())
        return Response(status=201, content_type="application/octet-stream")

    def _mkdirs(self, _request: Request, bucket: str, key: str) -> Response:
        self._store.write(bucket, f"{key}/", b"")
        return _json({"boolean": True})

    def _rename(self, request: Request, bucket: str, key: str) -> Response:
        target = request.args["destination"].lstrip("/").partition("/")[2].rstrip("/")
        one = self._store.find(bucket, key)
        for found in self._below(bucket, key) or ([one] if one else []):
            body = self._store.read(bucket, found.key)
            if body is not None and not found.key.endswith("/"):
                self._store.write(bucket, target + found.key.removeprefix(key), body)
            self._store.delete(bucket, found.key)
        return _json({"boolean": True})

    def _delete(self, _request: Request, bucket: str, key: str) -> Response:
        doomed = [*self._below(bucket, key), *filter(None, [self._store.find(bucket, key)])]
        for found in doomed:
            self._store.delete(bucket, found.key)
        return _json({"boolean": bool(doomed)})


def _entry(name: str, kind: str, found: S3Object | None = None) -> Json:
    size, modified = (found.size, found.modified) if found else (0, 0)
    times = {"modificationTime": modified, "accessTime": modified}
    fixed = {"blockSize": 1 << 27, "replication": 1, "owner": "s3", "group": "s3", "permission": "777"}
    zeros = {"fileId": 0, "childrenNum": 0, "storagePolicy": 0}
    return {"pathSuffix": name, "type": kind, "length": size, **times, **fixed, **zeros}


def _json(body: Json, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json")


def _refuse(status: int, exception: str, message: str) -> Response:
    package = "java.io" if exception == "FileNotFoundException" else "java.lang"
    remote = {"exception": exception, "javaClassName": f"{package}.{exception}", "message": message}
    return _json({"RemoteException": remote}, status)


def _redirect(request: Request) -> Response:
    # Hadoop asks for the location of the data first, and needs an absolute one.
    response = Response(status=307, headers={"Location": f"{request.url}&data=1"})
    response.autocorrect_location_header = False
    return response
