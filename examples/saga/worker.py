"""A worker that books a room, charges for it and ships the key, or undoes what was done; it may be killed at any moment, and
any number of them may run. docs/saga.md has the rules that it keeps."""
import json
import os
import time
import urllib.error
import urllib.request

import psycopg

PAYMENTS = os.environ.get("PAYMENTS", "http://127.0.0.1:8090")    # PGHOST, PGUSER, ... say where the database is
GROUP = "orders"


class Unknown(Exception):
    """Nobody knows whether the step took effect."""


def once(db, key, work):
    """The status of work(), which happens once for the key, in the transaction of its effect."""
    outcome, status = db.execute(
        "SELECT e.outcome, e.status FROM taskapi.idempotency_begin(%s, scope => 'saga') e", (key,)).fetchone()
    if outcome == "new":
        status = work()
        db.execute("SELECT taskapi.idempotency_complete(%s, %s, 'null', scope => 'saga')", (key, status))
    return status


def book(db, saga, order):
    def work():
        made = db.execute("INSERT INTO rooms.booking SELECT %s, id FROM rooms.room WHERE id = %s ON CONFLICT DO NOTHING",
                          (saga, order["room"]))
        return 200 if made.rowcount else 409
    return once(db, f"{saga}/book", work) == 200


def unbook(db, saga, order):
    once(db, f"{saga}/book", lambda: 410)       # if it was not booked, it never will be
    db.execute("DELETE FROM rooms.booking WHERE order_id = %s", (saga,))
    return True


def ship(db, saga, order):
    def work():
        db.execute("INSERT INTO rooms.shipment VALUES (%s, %s)", (saga, order["address"]))
        return 200
    return bool(order["address"]) and once(db, f"{saga}/ship", work) == 200


def payment(method, saga, body, timeout):
    """The payment has the name of the order, so that a repetition is no second one, and one that was taken back stays so."""
    request = urllib.request.Request(f"{PAYMENTS}/charges/{saga}", json.dumps(body).encode(), method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        if 400 <= error.code < 500 and error.code not in (408, 425, 429):
            return False                        # it says that it has done nothing
        raise Unknown(f"{method} {error.code}") from error
    except OSError as error:                    # no answer
        raise Unknown(str(error)) from error


# In the database: the effect, its key and settle_step() are one transaction. Elsewhere: the call comes first.
HERE = {"book": book, "unbook": unbook, "ship": ship}
ELSEWHERE = {
    "charge": lambda saga, order, timeout: payment("PUT", saga, {"cents": order["cents"]}, timeout),
    "refund": lambda saga, order, timeout: payment("DELETE", saga, {}, timeout),
}


def do_step(db, message):
    """What settle_step() says: is the message done, or is it to be tried again?"""
    command, error = message["payload"], None
    step, saga, order = command["step"], command["saga"], command["input"]
    done = None
    if step in ELSEWHERE:
        seconds = float((command["timeout"] or "10 s").split()[0])
        try:
            done = ELSEWHERE[step](saga, order, seconds)
        except Unknown as unknown:
            error = str(unknown)
    with db.transaction():
        if step in HERE:
            done = HERE[step](db, saga, order)
        outcome = "unknown" if done is None else "done" if done else "failed"
        then = db.execute("SELECT taskapi.settle_step(%s, %s, %s, %s, to_jsonb(%s::text))",
                          (saga, message["fencing_token"], step, outcome, error)).fetchone()[0]
    return then not in ("retry", "stuck"), error


def work(db, name):
    """One batch; false if there is nothing to do."""
    with db.transaction():
        rows = db.execute("SELECT m.seq, m.slot, m.fencing_token, m.payload FROM taskapi.receive(%s, %s, 10, '20 s') m",
                          (GROUP, name)).fetchall()
    messages = [dict(zip(("seq", "slot", "fencing_token", "payload"), row)) for row in rows]
    failed, last_error = [], None
    for message in messages:
        done, error = do_step(db, message)
        if not done:
            failed.append(message["seq"])
            last_error = error
    if messages:
        with db.transaction():
            db.execute("SELECT taskapi.settle(%s, %s, %s, %s, %s::bigint[], %s)",
                       (GROUP, messages[0]["slot"], messages[0]["fencing_token"], messages[-1]["seq"], failed, last_error))
    return bool(messages)


def run(name):
    db = None
    while True:
        try:
            if db is None or db.closed:
                db = psycopg.connect("", autocommit=True)
            if not work(db, name):
                time.sleep(0.1)
        except psycopg.errors.Error as error:
            if error.sqlstate != "PT409":       # the lease is lost: somebody else does it
                print(f"{type(error).__name__}: {error}", flush=True)
                time.sleep(0.5)


if __name__ == "__main__":
    run(f"{os.uname().nodename}-{os.getpid()}")
