"""The application as gunicorn serves it: the front, and Flask behind it."""

from __future__ import annotations

from feedkit.settings import Service
from feedkit.store import Store
from feedkit.web.app import create_app
from feedkit.web.asked import Queries
from feedkit.web.backstage import Backstage
from feedkit.web.front import Front, Stages
from feedkit.web.watch import Watch

SHARING, VIEWERS, SENDING, PEOPLE = 3, 5, 1, 1  # threads; each has a connection to the store
MOST_SENDING, MOST_PEOPLE = 32, 8  # that run or wait; what is sent may have 256 kB each


def shared_feeds(service: Service) -> dict[str, bool]:
    """The feeds whose pages are the same for everybody, each with whether they depend on the
    languages that are asked for."""
    return {
        name: feed.by_language
        for name, feed in service.feeds.items()
        if feed.served and not feed.personal
    }


def create_front(service: Service | None = None, store: Store | None = None) -> Front:
    """The application as gunicorn serves it, `feedkit.web.asgi:create_front()`; see
    `feedkit.web.app.create_app`."""
    app = create_app(service, store)
    stages = Stages(
        Backstage(app.wsgi_app, SHARING),
        Backstage(app.wsgi_app, VIEWERS),
        Backstage(app.wsgi_app, SENDING, MOST_SENDING),
        Backstage(app.wsgi_app, PEOPLE, MOST_PEOPLE),
    )
    service = app.config["SERVICE"]
    served = [feed.name for feed in service.feeds.values() if feed.served]
    front = Watch(stages, Queries(shared_feeds(service), served), app.config["STORE"])
    app.config["WATCH"] = front
    return front
