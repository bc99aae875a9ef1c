"""An HTTP API of one's own on taskapi, in Python with psycopg 3: who, how often, which page, once, and which version are the
database's business; this file maps requests to statements and problems to answers. docs/serve-yourself.md has the contract."""
import json
import os
import queue
import re
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import psycopg

POOL = queue.LifoQueue()    # connections that nobody uses; PGHOST, PGUSER, ... say where to
for _ in range(8):
    POOL.put(None)


class Refused(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code = status, code


@contextmanager
def connection():
    db = POOL.get()
    try:
        if db is None or db.closed:
            db = psycopg.connect("")
        with db.transaction():      # COMMIT at the end, ROLLBACK after an error
            yield db
    except psycopg.OperationalError:
        if db is not None:
            db.close()
        raise
    finally:
        POOL.put(db)


@contextmanager
def request(method, path, headers):
    """One request is one transaction. The caller, the method and the headers go where row-level security and the resource look
    for them, for this transaction alone; what the database wants answered is read back before COMMIT."""
    token = re.fullmatch(r"Bearer +(\S+)", headers.pop("authorization", ""), re.I)
    with connection() as db:
        if method == "GET":
            db.execute("SET TRANSACTION READ ONLY")
        db.execute("SELECT set_config('request.method', %s, true), set_config('request.path', %s, true),"
                   " set_config('request.headers', %s, true)", (method, path, json.dumps(headers)))
        subject, _ = db.execute(
            "SELECT claims ->> 'sub', set_config('request.jwt.claims', claims::text, true)"
            " FROM (SELECT taskapi.jwt_verify(%s) AS claims OFFSET 0) AS verified", (token[1] if token else None,)).fetchone()
        # refuses a blocked subject, applies the limits that the extension ships, and then ours
        db.execute("SELECT taskapi.pre_request()")
        db.execute("SELECT taskapi.enforce_rate_limits(%s)", (json.dumps({"shop_per_customer": subject}),))
        answer = {"status": 200, "headers": {}, "body": None}
        yield db, subject, answer
        headers, status = db.execute(
            "SELECT current_setting('response.headers', true), current_setting('response.status', true)").fetchone()
        for pair in json.loads(headers or "[]"):
            answer["headers"] = {**pair, **answer["headers"]}
        if status:
            answer["status"] = int(status)


def refusal(error):
    """A problem comes as SQLSTATE PGRST: MESSAGE is the body, DETAIL {status, headers}, both in JSON."""
    if isinstance(error, Refused):
        return error.status, {}, json.dumps({"code": error.code, "message": str(error)})
    sqlstate = getattr(error, "sqlstate", None) or ""
    if sqlstate == "PGRST":
        detail = json.loads(error.diag.message_detail)
        return detail["status"], detail["headers"], error.diag.message_primary
    if sqlstate.startswith("22"):
        return 400, {}, json.dumps({"code": "invalid_value", "message": error.diag.message_primary})
    return 500, {}, json.dumps({"code": "internal_error", "message": "internal error"})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def page(self, query):
        """A page; its tokens and its Link lead to the next one."""
        with request("GET", "/orders", self.given()) as (db, _, answer):
            answer["body"] = db.execute(
                "SELECT row_to_json(p)::text FROM taskapi.page('shop_api.orders', %s, %s::int, %s, %s::jsonb) p",
                [query.get(name) for name in ("order_by", "page_size", "page_token", "filter")]).fetchone()[0]
        return answer

    def create(self, _):
        """The effect, the key and the answer commit together: the same key again is answered with the same bytes and headers. The
        resource would see to it by itself; by hand it is for what is more than one row. Without a key: 400."""
        body, headers = self.body(), self.given()
        key = headers.pop("idempotency-key", None)
        with request("POST", "/orders", headers) as (db, customer, answer):
            scope = f"{customer} POST /orders"
            outcome, status, stored, text = db.execute(
                "SELECT outcome, status, headers, body::text FROM taskapi.idempotency_begin(%s, %s::jsonb, %s)",
                (key, json.dumps(body), scope)).fetchone()
            if outcome == "replay":
                answer.update(status=status, headers={**(stored or {}), "Idempotency-Replayed": "true"}, body=text)
            else:
                text, number, version = db.execute(
                    "INSERT INTO shop_api.orders AS o (item, quantity, note) VALUES (%s, coalesce(%s::text::int, 1), %s)"
                    " RETURNING row_to_json(o)::text, o.id, o.version",
                    (body.get("item"), body.get("quantity"), body.get("note"))).fetchone()
                own = {"ETag": f'"{version}"', "Location": f"/orders/{number}"}
                db.execute("SELECT taskapi.idempotency_complete(%s, 201, %s::json, %s::jsonb, %s)", (key, text, json.dumps(own), scope))
                answer.update(status=201, headers=own, body=text)
        return answer

    def change(self, number):
        """If-Match is looked at by the resource itself, and its ETag comes back by way of response.headers."""
        body = self.body()
        known = [name for name in ("item", "quantity", "note") if name in body]
        if not known:
            raise Refused(400, "invalid_value", "the body names no item, quantity or note")
        columns = ", ".join(name + (" = %s::text::int" if name == "quantity" else " = %s") for name in known)
        with request("PATCH", "/orders", self.given()) as (db, _, answer):
            changed = db.execute(f"UPDATE shop_api.orders AS o SET {columns} WHERE id = %s::uuid RETURNING row_to_json(o)::text",
                                 [body[name] for name in known] + [number]).fetchone()
            if changed is None:
                db.execute("SELECT taskapi.raise_problem('not_found', 'There is no such order.')")
            answer["body"] = changed[0]
        return answer

    def remove(self, number):
        with request("DELETE", "/orders", self.given()) as (db, _, answer):
            if db.execute("DELETE FROM shop_api.orders WHERE id = %s::uuid", (number,)).rowcount == 0:
                db.execute("SELECT taskapi.raise_problem('not_found', 'There is no such order.')")
            answer["status"] = 204
        return answer

    def given(self):
        return {name.lower(): value for name, value in self.headers.items()}

    def body(self):
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdigit() or int(length) > 100000:
            self.close_connection = True
            raise Refused(413, "body_too_large", "body is too large, or of no known length")
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise Refused(400, "invalid_json", "the body must be a JSON object")
        return body

    def serve(self):
        path, _, query = self.path.partition("?")
        number = re.fullmatch(r"/orders/([0-9a-f-]{36})", path)
        route = {("GET", False): self.page, ("POST", False): self.create, ("PATCH", True): self.change,
                 ("DELETE", True): self.remove}.get((self.command, bool(number))) if number or path == "/orders" else None
        try:
            if route is None:
                raise Refused(404, "not_found", "there is nothing here")
            answer = route(number[1] if number else dict(parse_qsl(query)))
            status, headers, body = answer["status"], answer["headers"], answer["body"]
        except Exception as error:    # whatever it is, the client gets an answer
            status, headers, body = refusal(error)
            if status == 500:
                self.log_error("%r", error)
        data = (body or "").encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if body:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = serve


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Handler).serve_forever()
