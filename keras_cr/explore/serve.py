"""The server of the page: Waitress, on the loopback interface unless told otherwise."""

import errno
import ipaddress
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from keras_cr._optional import installed

if TYPE_CHECKING:
    import flask

HOST, PORT = "127.0.0.1", 8000
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def trusted_hosts(host: str) -> list[str] | None:
    """The names by which a server on `host` may be called; None, any, beyond this machine.

    Args:
        host: a name or an address.
    """
    if host == "localhost":
        return list(LOOPBACK)
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    return [*LOOPBACK, host] if loopback else None


def usable(host: str, port: int) -> None:
    """Checks that a page can be served there, before any work.

    Args:
        host: the name or address of the interface.
        port: from 0 to 65535; 0 takes a free one.

    Raises:
        ImportError, OSError, ValueError: as `serve`.
    """
    with installed("The page", "Flask", "explore"):
        import flask  # noqa: F401
    _server(lambda *_: [], host, port).close()


def serve(
    app: "flask.Flask", host: str = HOST, port: int = PORT, started: Callable[[str], None] = print
) -> None:
    """Serves the page until Ctrl-C.

    Args:
        app: what `create_app` returned.
        host: the name or address of the interface.
        port: from 0 to 65535; 0 takes a free one.
        started: is called with the page's address once it can be opened.

    Raises:
        ImportError: Waitress is missing.
        OSError: the port is taken, or may not be used.
        ValueError: `host` is no name or address of this machine, or `port` leaves its range.
    """
    limit = (app.config["MAX_CONTENT_LENGTH"] or 0) + 10**6  # Flask says it better
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # pictures come in dozens
    server = _server(app, host, port, max_request_body_size=limit)
    address, used = getattr(server, "effective_host", host), getattr(server, "effective_port", port)
    started(f"http://{f'[{address}]' if ':' in address else address}:{used}/")
    try:
        server.run()
    finally:
        server.close()


def _server(app: Callable, host: str, port: int, **options):
    """Waitress' server, which listens already."""
    with installed("The page", "Waitress", "explore"):
        from waitress.server import create_server
    if not 0 <= port <= 65535:
        raise ValueError(f"`port` must be from 0 to 65535; received {port}.")
    if host == "localhost":
        host = HOST  # one address, so that a free port is one port
    try:
        return create_server(app, host=host, port=port, ident="keras_cr", **options)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                f"`port`: {port} is taken on {host}; name another one, or 0 for a free one."
            ) from error
        why = os.strerror(error.errno) if error.errno else error
        raise OSError(f"`host`, `port`: {host}:{port} can't be served ({why}).") from error
    except ValueError as error:
        raise ValueError(
            f"`host` must be a name or an address of this machine; received {host!r}."
        ) from error
