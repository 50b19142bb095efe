"""The Hub's client of this process, made to know the test's Hub alone."""

import huggingface_hub.constants

TOKENS = {
    "hf_writer": {"name": "writer", "orgs": ["org"]},
    "hf_reader": {"name": "reader", "role": "read"},
    "hf_other": {"name": "other"},
}


def point_at(url, folder, monkeypatch, xet=False):
    """Makes the Hub's client in this process talk to `url` alone, with an empty cache."""
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(constants, "HF_XET_CACHE", str(folder / "xet"), raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setattr(constants, "HF_STORED_TOKENS_PATH", str(folder / "tokens"), raising=False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", not xet)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
