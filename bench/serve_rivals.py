"""What feedkit is measured beside: a constant page by the bare ASGI worker, and a Flask feed as
one writes it by hand, with the same query, for gunicorn's sync worker."""

from __future__ import annotations

import json
import os

PAGE = [{"post": f"at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3k{n:011}"}
        for n in range(30)]  # fmt: skip
BODY = json.dumps({"feed": PAGE, "cursor": "0.1767225600000000.12345"}).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def constant(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def by_hand():
    """A Flask application with peewee that answers getFeedSkeleton for the feed `new`."""
    from flask import Flask, jsonify, request
    from peewee import SqliteDatabase

    app = Flask(__name__)
    db = SqliteDatabase(os.environ["BENCH_DB"])
    query = (
        "SELECT h.post_id, p.uri, h.sort_at FROM hits AS h JOIN posts AS p ON p.id = h.post_id "
        "WHERE h.feed_id = (SELECT id FROM feeds WHERE name = 'new') "
        "AND (h.sort_at, h.post_id) < (?, ?) AND NOT p.hidden "
        "ORDER BY h.sort_at DESC, h.post_id DESC LIMIT ?"
    )

    @app.get("/xrpc/app.bsky.feed.getFeedSkeleton")
    def skeleton():
        limit = int(request.args.get("limit", 50))
        _, at, last = request.args.get("cursor", "0.9999999999999999.9999999").split(".")
        rows = db.execute_sql(query, (int(at), int(last), limit)).fetchall()
        return jsonify(
            feed=[{"post": uri} for _, uri, _ in rows], cursor=f"0.{rows[-1][2]}.{rows[-1][0]}"
        )

    return app
