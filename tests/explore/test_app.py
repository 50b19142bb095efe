"""What the page asks of the server, and what the server refuses."""

import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from keras_cr.search import Index
from tests.explore.conftest import HEAD, HOSTILE, NAMES, PASTED, QUERY, SIDE, png


@pytest.fixture
def client(app):
    return app.test_client()


def opened(client, row):
    return client.post(f"/queries/of/{row}").json


def said(response, status):
    assert response.status_code == status
    return response.json["error"]


def test_the_page_is_whole_and_names_are_text(explorer):
    from keras_cr.explore import create_app

    client = create_app(explorer, HOSTILE).test_client()
    response = client.get("/")
    text = response.get_data(as_text=True)
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "<img src=x" not in text
    assert "24 images" in text
    assert "http" not in text.replace("http-equiv", ""), "nothing from elsewhere"
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    for name in ("style.css", "script.js", "icon.svg"):
        assert f"/static/{name}" in text
        assert client.get(f"/static/{name}").status_code == 200


def test_the_collection_comes_in_parts(client):
    told = client.get("/images").json
    assert told["total"] == len(NAMES)
    assert {image["name"] for image in told["images"]} == set(NAMES)
    assert client.get("/images?start=-3").json == told
    assert client.get("/images?start=30").json["images"] != told["images"]


def test_pictures_are_written_anew(client, birds):
    import tensorflow as tf

    response = client.get("/images/2.jpg")
    assert response.mimetype == "image/jpeg"
    decoded = tf.io.decode_jpeg(response.data).numpy()
    assert decoded.shape == (SIDE, SIDE, 3)
    assert np.abs(decoded.astype(int) - birds[2]).mean() < 8


@pytest.mark.parametrize(
    "path",
    [
        "/images/24.jpg",
        "/images/-1.jpg",
        "/images/../../etc/passwd.jpg",
        "/images/%2e%2e%2f%2e%2e%2fetc%2fpasswd.jpg",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        f"/images/{QUERY}",
        "/queries/none.jpg",
        "/queries/none/matches",
    ],
)
def test_nothing_else_is_served(client, path):
    assert said(client.get(path), 404)


def test_an_image_from_elsewhere_finds_its_like(client, birds):
    response = client.post("/queries", data=png(birds[5]))
    query = response.json
    assert query["name"] is None
    rows, columns = len(query["map"]), len(query["map"][0])
    assert rows == columns > 1
    assert client.get(f"/queries/{query['query']}.jpg").mimetype == "image/jpeg"
    matches = client.get(f"/queries/{query['query']}/matches").json["matches"]
    assert len(matches) == 6
    assert matches[0]["name"] == NAMES[5]
    assert matches[0]["similarity"] == pytest.approx(1, abs=1e-3)
    assert matches[0]["metadata"] == {"note": "<b>5</b>"}
    similarity = [match["similarity"] for match in matches]
    assert similarity == sorted(similarity, reverse=True)
    for match in matches:
        assert np.shape(match["map"]) == np.shape(match["query_map"]) == (rows, columns)
        assert np.max(match["map"]) == 1


def test_what_is_found_is_what_the_index_finds(client, index, birds, tmp_path):
    file = tmp_path / "larger.png"
    Image.fromarray(birds[5]).resize((157, 131)).save(file)
    word = client.post("/queries", data=file.read_bytes()).json["query"]
    matches = client.get(f"/queries/{word}/matches").json["matches"]
    expected = index.query(file, 6)
    assert [match["name"] for match in matches] == [match.name for match in expected]
    similarity = [match["similarity"] for match in matches]
    assert similarity == pytest.approx([match.similarity for match in expected], abs=1e-5)


def test_an_image_of_the_index_is_no_answer_to_itself(client, index):
    query = opened(client, NAMES.index(HOSTILE))
    assert query["name"] == HOSTILE
    matches = client.get(f"/queries/{query['query']}/matches").json["matches"]
    assert [match["name"] for match in matches] == [m.name for m in index.similar(HOSTILE, 6)]


def test_a_click_finds_the_part(client, birds):
    """The upper half of one image, with a bird's head, is that of another, moved to the left."""
    x, y = HEAD
    for query in (opened(client, 0), client.post("/queries", data=png(birds[0])).json):
        path = f"/queries/{query['query']}/matches"
        matches = client.get(f"{path}?x={x}&y={y}").json["matches"]
        matches = [match for match in matches if match["name"] != QUERY]
        assert matches[0]["name"] == PASTED
        assert matches[0]["at"] == pytest.approx([x - 2 / 5, y])
        assert matches[0]["similarity"] > matches[1]["similarity"] + 0.1
        assert np.max(matches[0]["map"]) == pytest.approx(matches[0]["similarity"], abs=1e-3)
        others = client.get(f"{path}?x=.02&y=.98").json["matches"]
        assert next(m["name"] for m in others if m["name"] != QUERY) != PASTED


@pytest.mark.parametrize("place", ["x=2&y=0", "x=nan&y=0", "x=.5", "x=a&y=b", "x=&y="])
def test_places_outside_are_refused(client, place):
    assert "from 0 to 1" in said(
        client.get(f"/queries/{opened(client, 0)['query']}/matches?{place}"), 400
    )


def bomb():
    """A PNG file of some bytes that says 60,000 x 60,000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"\0" * 1000)
    parts = [struct.pack(">I", len(each) - 4) + each for each in (header, data, b"IEND")]
    parts = [part + struct.pack(">I", zlib.crc32(part[4:])) for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"", 422, "Give an image in JPEG"),
        (b"no image", 422, "Give an image in JPEG"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>",
            422,
            "does not decode",
        ),
        (png(np.zeros((8, 40, 3), "uint8")), 422, "fewer than 32 on a side"),
        (bomb(), 422, "60000 x 60000 pixels, more than"),
        (bytes(1_000_001), 413, "larger than 1 MB"),
    ],
    ids=["empty", "text", "svg", "small", "bomb", "large"],
)
def test_what_is_no_query_is_told(client, data, status, message):
    assert message in said(client.post("/queries", data=data), status)


def test_other_sites_and_names_are_refused(client, app):
    for host in ("evil.example", "127.0.0.1.evil.example:8000", "evil@localhost", "[", ""):
        assert said(client.get("/", headers={"Host": host}), 400)
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        assert client.get("/", headers={"Host": host}).status_code == 200
        own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert client.post("/queries/of/0", headers=own).status_code == 200
    for other in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert said(client.post("/queries/of/0", headers=other), 403)
    assert client.get("/").headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_old_queries_are_forgotten(explorer, monkeypatch):
    monkeypatch.setattr("keras_cr.explore.explorer._QUERIES", 2)
    words = [explorer.take(0) for _ in range(3)]
    assert len(set(words)) == 3
    assert explorer.query(words[1]).name == explorer.query(words[2]).name == QUERY
    with pytest.raises(KeyError):
        explorer.query(words[0])


def test_files_that_are_gone(small, tmp_path):
    from keras_cr.explore import Explorer, create_app

    with pytest.raises(FileNotFoundError, match="none of the 24 images"):
        Explorer(Index.load(small, folder=tmp_path), verbose=0)
    for name in NAMES[:4]:
        shutil.copy(small.parent / "images" / name, tmp_path / name)
    page = Explorer(Index.load(small, folder=tmp_path), verbose=0)
    assert page.missing == 20
    client = create_app(page, "few").test_client()
    query = opened(client, page.names.index(QUERY))["query"]
    matches = client.get(f"/queries/{query}/matches").json["matches"]
    assert {match["name"] for match in matches} == set(NAMES[1:4])
    (tmp_path / NAMES[1]).unlink()
    error = said(client.get(f"/queries/{query}/matches"), 422)
    assert "bring the index up to date" in error
    assert str(tmp_path) not in error
