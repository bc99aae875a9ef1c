"""The worker of examples/saga until there is nothing to do; it is killed at its Nth border: before and after each commit, and after
each answer of the payment service."""
import os
import signal
import sys
from contextlib import contextmanager

import psycopg

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import worker  # noqa: E402

left = [int(sys.argv[2])]


def border():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


transaction = psycopg.Connection.transaction
payment = worker.payment


@contextmanager
def mortal_transaction(self):
    with transaction(self):
        yield
        border()
    border()


def mortal_payment(*args):
    try:
        return payment(*args)
    finally:
        border()


psycopg.Connection.transaction = mortal_transaction
worker.payment = mortal_payment
with psycopg.connect("", autocommit=True) as db:
    while worker.work(db, "w"):
        pass
