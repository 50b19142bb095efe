"""keras-cr explore: it says where the page is, serves it, and ends at Ctrl-C."""

import json
import signal
import socket
import threading
import time
import urllib.request

import pytest

from keras_cr.cli import main
from tests.cli.test_main import fails
from tests.explore.conftest import NAMES


def test_it_serves_until_ctrl_c(small, tmp_path, capsys):
    address, answers = tmp_path / "address", []

    def visit():
        try:
            while not address.exists():
                time.sleep(0.05)
            url = address.read_text().strip()
            for path in ("", "images"):
                with urllib.request.urlopen(url + path, timeout=30) as answer:
                    answers.append(answer.read().decode())
        finally:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        visitor = threading.Thread(target=visit, daemon=True)
        visitor.start()
        argv = ["explore", small, "--port", 0, "-o", address, "-k", 3, "--places-of", 4]
        status = main([str(part) for part in argv])
        visitor.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert status in (0, 130)
    printed = capsys.readouterr()
    assert printed.out == f"24 images at {address.read_text().strip()} (Ctrl-C ends it)\n"
    assert address.read_text().startswith("http://127.0.0.1:")
    assert "birds.index" in answers[0]
    assert "places are searched in 4 of them" in answers[0]
    assert json.loads(answers[1])["total"] == len(NAMES)


def test_mistakes(small, tmp_path, capsys):
    assert "There is no index at" in fails(["explore", tmp_path / "none", "--port", 0], capsys)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = fails(["explore", small, "--port", port], capsys)
    assert f"--port: {port} is taken on 127.0.0.1; name another one, or 0" in error
    error = fails(["explore", small, "--host", "no.such.host.invalid", "--port", 0], capsys)
    assert "--host" in error
    assert "no.such.host.invalid" in error
    empty = tmp_path / "empty"
    empty.mkdir()
    moved = ["explore", small, "--port", 0, "--images-in", empty]
    assert "--images-in: none of the 24 images" in fails(moved, capsys)
    for port in ("65536", "-1", "http"):
        with pytest.raises(SystemExit, match="2"):
            main(["explore", str(small), f"--port={port}"])
        assert "from 0 to 65535" in capsys.readouterr().err


def test_names_that_may_be_called():
    from keras_cr.explore.serve import trusted_hosts

    assert {"127.0.0.1", "localhost", "::1"} <= set(trusted_hosts("localhost"))
    assert "127.0.0.2" in trusted_hosts("127.0.0.2")
    assert trusted_hosts("0.0.0.0") is trusted_hosts("birds.example") is None
