"""The page and what it asks of the server, as a Flask application.

Names never name files here: pictures go by their row in the index and are written anew from their
pixels, so nothing but images of the index leaves the machine, and no metadata with them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from keras_cr._optional import installed
from keras_cr._text import printable
from keras_cr.data.files import UnreadableImageError
from keras_cr.explore.explorer import Explorer

if TYPE_CHECKING:
    import flask

MAX_MEGABYTES = 20
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_SHOWN = 24  # images of the collection at a time
_UNREADABLE = "An image of the index can't be read any more; bring the index up to date."
_FORGOTTEN = "This query is forgotten; choose the image again."


def create_app(
    explorer: Explorer,
    title: str,
    hosts: Sequence[str] | None = None,
    max_megabytes: int = MAX_MEGABYTES,
) -> "flask.Flask":
    """The page as a WSGI application.

    Args:
        explorer: what it shows.
        title: of the page; any text.
        hosts: names and addresses by which it may be called, so that no other site can make its
            own name lead here; None allows all.
        max_megabytes: the largest file that is taken.

    Raises:
        ImportError: Flask is missing.
    """
    with installed("The page", "Flask", "explore"):
        import flask
        from werkzeug.exceptions import HTTPException

    app = flask.Flask(__package__)
    app.config["MAX_CONTENT_LENGTH"] = max_megabytes * 10**6

    def failed(status: int, text: str) -> tuple[dict[str, str], int]:
        return {"error": text}, status

    def opened(word: str) -> dict[str, Any]:
        query = explorer.query(word)
        return {
            "query": word,
            "name": query.name and printable(query.name),
            "map": query.rationale.astype("float64").round(3).tolist(),
        }

    @app.before_request
    def refuse_other_names():  # Werkzeug's own check takes no IPv6 address
        if hosts is not None and _name(flask.request.headers.get("Host", "")) not in hosts:
            return failed(400, "This page is called by another name.")
        return None

    @app.before_request
    def refuse_other_sites():
        if flask.request.method in ("GET", "HEAD", "OPTIONS"):
            return None
        origin = flask.request.headers.get("Origin")
        other = origin is not None and urlsplit(origin).netloc != flask.request.host
        if other or flask.request.headers.get("Sec-Fetch-Site", "none") in (
            "cross-site",
            "same-site",  # another port of this machine
        ):
            return failed(403, "Only the page itself may ask for this.")
        return None

    @app.after_request
    def with_headers(response):
        response.headers.update(HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(HTTPException)
    def told(error):
        if error.code == 413:
            return failed(413, f"This file is larger than {max_megabytes} MB.")
        return failed(error.code, error.description)

    @app.errorhandler(UnreadableImageError)
    def unreadable(error):
        return failed(422, _UNREADABLE)

    @app.get("/")
    def page():
        return flask.render_template(
            "page.html",
            title=title,
            count=len(explorer.names),
            missing=explorer.missing,
            searched=len(explorer.places),
            max_megabytes=max_megabytes,
            alone=hosts is not None,
        )

    @app.get("/images")
    def images():
        start = flask.request.args.get("start", 0, type=int)
        return {"images": explorer.some(max(start, 0), _SHOWN), "total": len(explorer.names)}

    @app.get("/images/<int:row>.jpg")
    def picture(row: int):
        try:
            content = explorer.picture(row)
        except IndexError:
            return failed(404, "There is no such image.")
        response = flask.Response(content, mimetype="image/jpeg")
        response.headers["Cache-Control"] = "private, max-age=600"
        return response

    @app.post("/queries")
    def upload():
        try:
            return opened(explorer.upload(flask.request.get_data(cache=False)))
        except ValueError as error:
            return failed(422, str(error))

    @app.post("/queries/of/<int:row>")
    def take(row: int):
        try:
            return opened(explorer.take(row))
        except IndexError:
            return failed(404, "There is no such image.")

    @app.get("/queries/<word>.jpg")
    def query_picture(word: str):
        try:
            content = explorer.query(word).picture
        except KeyError:
            return failed(404, _FORGOTTEN)
        return flask.Response(content, mimetype="image/jpeg")

    @app.get("/queries/<word>/matches")
    def matches(word: str):
        asked = flask.request.args
        try:
            if "x" not in asked and "y" not in asked:
                return {"matches": explorer.whole(word)}
            x, y = (float(asked.get(name, "")) for name in "xy")
            return {"matches": explorer.at_place(word, x, y)}
        except KeyError:
            return failed(404, _FORGOTTEN)
        except UnreadableImageError:
            raise
        except ValueError:
            return failed(400, "x and y must be numbers from 0 to 1.")

    return app


def _name(host: str) -> str | None:
    """The name or address in a Host header, without its port."""
    try:
        return None if "@" in host else urlsplit(f"//{host}").hostname
    except ValueError:
        return None
