"""Backbones of other packages under JAX and PyTorch; docs/backbones.md has a column of all."""

import importlib.util

import pytest

from tests.models.test_adapt_backbone import identifier, needs
from tests.models.zoo import elsewhere
from tests.models.zoo.families import CASES

FEW = {"keras_hub": "DINOv2", "keras_cv": "ResNet", "keras": "ResNetV2"}  # `table` tries them all
PICKED = [case for case in CASES if FEW.get(case.package) == case.name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    elsewhere.store([case for case in PICKED if importlib.util.find_spec(case.package)], folder)
    return folder


@pytest.fixture(scope="module", params=["jax", "torch"])
def failed(request, folder):
    """What went wrong under a backend, of each backbone whose package is installed."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return elsewhere.under(request.param, folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case", [pytest.param(each, marks=needs(each.package), id=identifier(each)) for each in PICKED]
)
def test_the_same_embeddings_and_a_fitted_branch(case, failed):
    assert failed[str(CASES.index(case))] == ""
