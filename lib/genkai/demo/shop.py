"""The demo's API: a small shop on SQLite, with a known CPU cost per request."""

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from typing import Any

ITEMS = 1000
COLOURS = ("amber", "blue", "coral", "dark", "ecru", "fawn", "green", "ivory", "jade", "khaki")
GOODS = ("apron", "bowl", "chair", "desk", "easel", "fan", "globe", "hat", "ink", "jar")


def spin(rounds: int) -> bytes:
    """Burn CPU: a chain of `rounds` hashes."""
    digest = b"genkai"
    for _ in range(rounds):
        digest = hashlib.blake2b(digest).digest()
    return digest


def calibrate_rounds_per_s(trials: int = 5, rounds: int = 4000) -> float:
    """Hashes this process manages per second of its own CPU time (the best of a few trials: noise only slows)."""
    fastest = float("inf")
    for _ in range(trials):
        start = time.thread_time()
        spin(rounds)
        fastest = min(fastest, time.thread_time() - start)
    return rounds / max(fastest, 1e-9)


def open_database(path: str) -> sqlite3.Connection:
    """Open the shop's database and fill it when it is new; several instances may share one file."""
    database = sqlite3.connect(path, timeout=5, isolation_level=None, cached_statements=16)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("BEGIN IMMEDIATE")
    database.execute("CREATE TABLE IF NOT EXISTS items (id INTEGER PRIMARY KEY, name TEXT, price_yen INTEGER)")
    database.execute("CREATE INDEX IF NOT EXISTS items_by_name ON items (name)")
    database.execute(
        "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, item INTEGER, quantity INTEGER, at REAL)"
    )
    rows = (
        (n, f"{COLOURS[n % 10]} {GOODS[n // 10 % 10]} {n // 100}", 100 + n * 37 % 9900) for n in range(1, ITEMS + 1)
    )
    database.executemany("INSERT OR IGNORE INTO items VALUES (?, ?, ?)", rows)
    database.execute("COMMIT")
    return database


def remove_database(path: str) -> None:
    """Remove the database's files; nobody else would when the demo was killed."""
    if path != ":memory:":
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(path + end)
        with contextlib.suppress(OSError):  # the last instance removes the directory
            os.rmdir(os.path.dirname(path))


class Shop:
    """Answers the API's calls: each returns (HTTP status, content for JSON)."""

    def __init__(self, path: str, cpu_ms: float) -> None:
        self.database = open_database(path)
        self.rounds = round(cpu_ms / 1000 * calibrate_rounds_per_s())

    def search(self, words: str) -> tuple[int, Any]:
        """Items whose name begins with these words, ten at most."""
        spin(self.rounds)
        rows = self.database.execute(
            "SELECT id, name, price_yen FROM items WHERE name >= ? AND name < ? LIMIT 10", (words, words + "\U0010ffff")
        )
        return 200, {"items": [{"id": id_, "name": name, "price_yen": price} for id_, name, price in rows]}

    def item(self, id_: str) -> tuple[int, Any]:
        """One item; 404 when there is none of that id."""
        spin(self.rounds // 2)
        row = None
        if id_.isascii() and id_.isdigit() and len(id_) < 10:
            row = self.database.execute("SELECT id, name, price_yen FROM items WHERE id = ?", (int(id_),)).fetchone()
        if row is None:
            return 404, {"error": f"no item {id_!r}"}
        return 200, {"id": row[0], "name": row[1], "price_yen": row[2]}

    def order(self, body: bytes) -> tuple[int, Any]:
        """Write an order `{"item": 1–1000, "quantity": 1–99}`; 422 for anything else, 503 while locked."""
        spin(self.rounds)
        try:
            wanted = json.loads(body)
            item, quantity = wanted["item"], wanted["quantity"]
        except (ValueError, KeyError, TypeError):
            return 422, {"error": 'expected {"item": id, "quantity": n}'}
        if not (type(item) is type(quantity) is int and 1 <= item <= ITEMS and 1 <= quantity <= 99):
            return 422, {"error": f"expected an item 1–{ITEMS} and a quantity 1–99"}
        try:
            cursor = self.database.execute(
                "INSERT INTO orders (item, quantity, at) VALUES (?, ?, ?)", (item, quantity, time.time())
            )
        except sqlite3.OperationalError as error:
            return 503, {"error": str(error)}
        return 201, {"order": cursor.lastrowid}
