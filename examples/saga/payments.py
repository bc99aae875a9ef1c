"""A payment service to try the worker with. A charge has the name that the caller gives it: PUT makes it once, DELETE takes it back, or
forbids it for ever if it was not made. FILE keeps what it knows. Every second call gets a 500, at once or late."""
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

FILE, PORT = sys.argv[1], int(sys.argv[2])
LOCK = Lock()
CALLS = [0]


class Payments(BaseHTTPRequestHandler):
    def answer(self, status, body=None):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_call(self):
        name = self.path.rsplit("/", 1)[-1]
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "null")
        with LOCK:
            known = [json.loads(line) for line in open(FILE)] if os.path.exists(FILE) else []
            states = [k["state"] for k in known if k["name"] == name]
            state = states[-1] if states else None
            CALLS[0] += 1
            trouble = CALLS[0] % 4
            if self.command == "GET":
                return self.answer(200, [k for k in known if k["name"] == name])
            if self.command == "PUT":
                if state in ("refunded", "forbidden"):
                    return self.answer(410)
                if body["cents"] > 100000:
                    return self.answer(402)
                becomes = "charged"
            else:
                becomes = {None: "forbidden", "charged": "refunded"}.get(state, state)
            if becomes != state and trouble != 1:
                with open(FILE, "a") as file:
                    file.write(json.dumps({"name": name, "state": becomes}) + "\n")
        if trouble == 3:
            time.sleep(0.3)
        self.answer(500 if trouble in (1, 3) else 200)

    do_GET = do_PUT = do_DELETE = handle_call

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Payments).serve_forever()
