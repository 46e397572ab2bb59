"""A stand-in for Kaggle: HTTP on loopback that the unpatched `kaggle` client talks to, and nothing beyond it can be reached.

It keeps data sets, kernels, uploads and files in memory, in the shapes that the client's requests and answers have (kaggle
2.2.4, kagglesdk's types), and fails on demand. The client reaches it as its HTTP proxy, so that any address ends here.
"""

import base64
import io
import json
import threading
import zipfile
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

DEAD = "http://127.0.0.1:9"                  # nobody listens: no HTTPS request can leave
STAMP = "Sun, 22 Nov 2026 00:00:00 GMT"


@dataclass
class Upload:
    name: str
    length: int
    data: bytearray = field(default_factory=bytearray)

    @property
    def whole(self) -> bool:
        return len(self.data) == self.length


@dataclass
class Dataset:
    title: str
    license: str
    private: bool
    versions: list[dict[str, bytes]] = field(default_factory=list)
    pending: deque = field(default_factory=deque)     # statuses to give before READY


@dataclass
class Kernel:
    pushes: list[dict] = field(default_factory=list)  # every SaveKernel request
    statuses: deque = field(default_factory=deque)    # statuses still to give; the last one stays
    failure: str = ""
    output: dict[str, bytes] = field(default_factory=dict)
    log: str = ""


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip archive of these files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return packed.getvalue()


class KaggleServer(ThreadingHTTPServer):
    """The state of the made-up Kaggle, and what it shall do wrong."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.user, self.key, self.token = "signer", "key-0123456789abcdef", "token-fedcba9876543210"
        self.datasets: dict[str, Dataset] = {}
        self.kernels: dict[str, Kernel] = {}
        self.uploads: dict[str, Upload] = {}
        self.files: dict[str, bytes] = {}              # the competition's
        self.archives: dict[str, bytes] = {}           # data sets to download, as zip
        self.rules_accepted = True
        self.pending = ["BLOBS_RECEIVED"]              # what a new version's status is before READY
        self.faults: dict[str, deque] = {}             # method -> answers to give instead: (status, message) or a dict
        self.on_push = lambda server, reference, request: ["COMPLETE"]
        self.calls: list[tuple[str, dict]] = []        # every API call
        self.headers: list[str] = []                   # and how it was authorised
        self.received: list[tuple[str, int]] = []      # (file, bytes) of every upload request
        self.sent: list[tuple[str, int]] = []          # (path, bytes) of every download
        self.cut_uploads: deque = deque()              # bytes after which an upload is cut with 503
        self.listed: dict[str, int] = {}               # sizes that the list of files gets wrong
        self.compressed: set[str] = set()              # competition files that are sent as <name>.zip
        self.hold = None                               # an Event: uploads and downloads stop halfway until it is set
        self.held = threading.Event()                  # set when one stops there

    def fail(self, method: str, *answers) -> None:
        """Answer the next calls of an API method with these: (HTTP status, message), or a dict as the answer's body."""
        self.faults.setdefault(method, deque()).extend(answers)

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()

    def environment(self, folder, *, credentials: bool = True) -> dict[str, str]:
        """The variables under which the client talks to this server alone; folder: its home, temporary."""
        folder.mkdir(parents=True, exist_ok=True)
        proxy = f"http://127.0.0.1:{self.server_address[1]}"
        known = {"KAGGLE_USERNAME": self.user, "KAGGLE_KEY": self.key} if credentials else {}
        return {"KAGGLE_API_ENVIRONMENT": "LOCALHOST", "HTTP_PROXY": proxy, "http_proxy": proxy, "HTTPS_PROXY": DEAD,
                "https_proxy": DEAD, "ALL_PROXY": DEAD, "all_proxy": DEAD, "HOME": str(folder), "TMPDIR": str(folder),
                "XDG_CONFIG_HOME": str(folder), "KAGGLE_CONFIG_DIR": str(folder), **known}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: KaggleServer

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        self._answer(502, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        method = "/".join(urlsplit(self.path).path.split("/")[-2:]).rpartition(".")[2].partition("/")[2]
        request = json.loads(body or b"{}")
        self.server.calls.append((method, request))
        if method == "IntrospectToken":
            return self._json({"active": request.get("token") == self.server.token, "username": self.server.user})
        if not self._known():
            return self._json({"code": 401, "message": "Unauthenticated"}, 401)
        planned = self.server.faults.get(method)
        if planned:
            answer = planned.popleft()
            return self._json(answer) if isinstance(answer, dict) else self._answer(answer[0], answer[1].encode())
        answer = getattr(self, f"api_{method}", None)
        return answer(request) if answer else self._answer(501, f"the stand-in has no {method}".encode())

    def _known(self) -> bool:
        basic = base64.b64encode(f"{self.server.user}:{self.server.key}".encode()).decode()
        given = self.headers.get("Authorization", "")
        self.server.headers.append(given)
        return given in (f"Basic {basic}", f"Bearer {self.server.token}")

    # ---- data sets

    def api_GetDatasetStatus(self, request):
        dataset = self.server.datasets.get(f"{request['ownerSlug']}/{request['datasetSlug']}")
        if dataset is None:
            return self._answer(404, b"no such data set")
        return self._json({"status": dataset.pending.popleft() if dataset.pending else "READY"})

    def api_GetDataset(self, request):
        dataset = self.server.datasets.get(f"{request['ownerSlug']}/{request['datasetSlug']}")
        if dataset is None:
            return self._answer(404, b"no such data set")
        return self._json({"currentVersionNumber": len(dataset.versions) - bool(dataset.pending)})

    def api_StartBlobUpload(self, request):
        token = f"blob-{len(self.server.uploads)}"
        self.server.uploads[token] = Upload(request["name"], int(request.get("contentLength", 0)))
        return self._json({"token": token, "createUrl": f"http://storage.kaggle.invalid/upload/{token}"})

    def api_CreateDataset(self, request):
        reference = f"{request['ownerSlug']}/{request['slug']}"
        if request["ownerSlug"] != self.server.user:
            return self._answer(403, b"not yours")
        if any(dataset.title == request["title"] for dataset in self.server.datasets.values()):
            return self._json({"status": "error", "error": f'The requested title "{request["title"]}" is already in use by a '
                                                           "dataset. Please choose another title."})
        self.server.datasets[reference] = Dataset(request["title"], request["licenseName"], request.get("isPrivate", False))
        return self._version(reference, request)

    def api_CreateDatasetVersion(self, request):
        return self._version(f"{request['ownerSlug']}/{request['datasetSlug']}", request["body"])

    def _version(self, reference, body):
        dataset = self.server.datasets[reference]
        uploads = [self.server.uploads[file["token"]] for file in body.get("files", [])]
        dataset.versions.append({upload.name: bytes(upload.data) for upload in uploads if upload.whole})
        dataset.pending.extend(self.server.pending)
        return self._json({"ref": reference, "url": f"https://www.kaggle.com/datasets/{reference}", "status": "ok", "error": ""})

    def api_GetDatasetMetadata(self, request):
        return self._json({"info": {"datasetSlug": request["datasetSlug"], "licenses": [{"name": "apache-2.0"}]}})

    def api_DownloadDataset(self, request):
        return self._redirect(f"http://storage.kaggle.invalid/archive/{request['ownerSlug']}/{request['datasetSlug']}")

    # ---- uploads of bytes

    def do_PUT(self):
        upload = self.server.uploads[urlsplit(self.path).path.rsplit("/", 1)[-1]]
        span, length = self.headers.get("Content-Range", ""), int(self.headers.get("Content-Length") or 0)
        if span.startswith("bytes */"):
            return self._answer(200 if upload.whole else 308, b"",
                                {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {})
        if not span:
            upload.data.clear()
        planned = self.server.faults.get(f"PUT {upload.name}")
        if planned:
            self.rfile.read(length)
            return self._answer(planned.popleft()[0], b"")
        take = self.server.cut_uploads.popleft() if self.server.cut_uploads else length
        upload.data += self.rfile.read(min(take, length) if self.server.hold is None else length // 2)
        if self.server.hold is not None:
            self.server.held.set()
            self.server.hold.wait(30)
            self.close_connection = True
            return None
        self.server.received.append((upload.name, min(take, length)))
        if take < length:
            self.rfile.read(length - take)                       # sent, and lost
            return self._answer(503, b"")
        return self._answer(200, b"")

    # ---- kernels

    def api_SaveKernel(self, request):
        kernel = self.server.kernels.setdefault(request["slug"], Kernel())
        kernel.pushes.append(request)
        ended = [reference for reference, known in self.server.kernels.items() if len(known.statuses) == 1]
        missing = [source for source in request.get("kernelDataSources", []) if source not in ended]
        kernel.statuses = deque(self.server.on_push(self.server, request["slug"], request))
        return self._json({"ref": request["slug"], "url": f"https://www.kaggle.com/code/{request['slug']}", "error": "",
                           "versionNumber": len(kernel.pushes), "invalidKernelSources": missing})

    def api_GetKernelSessionStatus(self, request):
        kernel = self.server.kernels.get(f"{request['userName']}/{request['kernelSlug']}")
        if kernel is None:
            return self._answer(404, b"no such kernel")
        status = kernel.statuses.popleft() if len(kernel.statuses) > 1 else kernel.statuses[0]
        return self._json({"status": status, "failureMessage": kernel.failure if status == "ERROR" else ""})

    def api_ListKernelSessionOutput(self, request):
        reference = f"{request['userName']}/{request['kernelSlug']}"
        kernel = self.server.kernels[reference]
        files = [{"url": f"http://storage.kaggle.invalid/output/{reference}//{name}", "fileName": name} for name in kernel.output]
        return self._json({"files": files, "log": kernel.log})

    # ---- downloads

    def api_ListDataFiles(self, request):
        if not self.server.rules_accepted:
            return self._answer(403, b"")
        start, size = int(request.get("pageToken") or 0), int(request["pageSize"])
        names = sorted(self.server.files)
        sizes = {name: len(data) for name, data in self.server.files.items()} | self.server.listed
        page = [{"name": name, "totalBytes": sizes[name], "creationDate": "2026-11-22T00:00:00Z"}
                for name in names[start:start + size]]
        return self._json({"files": page, "nextPageToken": str(start + size) if start + size < len(names) else ""})

    def api_DownloadDataFile(self, request):
        if not self.server.rules_accepted:
            return self._answer(403, b"")
        end = ".zip" if request["fileName"] in self.server.compressed else ""
        return self._redirect(f"http://storage.kaggle.invalid/competition/{request['fileName']}{end}")

    def do_GET(self):
        kind, _, name = unquote(urlsplit(self.path).path).lstrip("/").partition("/")
        if kind == "output":
            reference, _, name = name.partition("//")
            store = self.server.kernels[reference].output
        else:
            store = {"competition": self.server.files, "archive": self.server.archives}[kind]
        data = store.get(name)
        if name.removesuffix(".zip") in self.server.compressed:
            data = zipped({name.removesuffix(".zip").rpartition("/")[2]: store[name.removesuffix(".zip")]})
        if data is None:
            return self._answer(404, b"")
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        body = data[start:]
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{name}"', "Last-Modified": STAMP, "Content-Length": str(len(body))}
        if self.server.hold is not None:
            self._head(200, headers)
            self.wfile.write(body[:len(body) // 2])
            self.server.held.set()
            self.server.hold.wait(30)
            self.close_connection = True
            return None
        self.server.sent.append((name, len(body)))
        self._head(206 if start else 200, headers)
        self.wfile.write(body)
        return None

    # ---- answers

    def _head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, status, body: bytes, headers=None):
        self._head(status, {"Content-Type": "text/plain", "Content-Length": str(len(body)), **(headers or {})})
        self.wfile.write(body)

    def _json(self, value, status=200):
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _redirect(self, address):
        self._answer(302, b"", {"Location": address})
