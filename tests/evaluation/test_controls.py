"""Poolings that a rationale has to beat, on an encoder whose feature maps are known."""

import dataclasses
import functools

import keras
import numpy as np
import pytest

from keras_cr.attribution import center_prior
from keras_cr.data import FineGrainedDataset
from keras_cr.evaluation import CONTROLS, add_controls, evaluate_features, extract, records
from keras_cr.evaluation._control_source import Source
from keras_cr.evaluation.localization import energy, foreground_cells
from keras_cr.evaluation.report import write_markdown
from keras_cr.models import CommonRationaleEncoder
from keras_cr.rationale.vocabulary import fit_words

SIZE, CELLS = 64, 8


def squares(count=48, **changes):
    """A square of its class' colour somewhere on a dark ground; the last third is test."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = rng.uniform(0, 60, (count, SIZE, SIZE, 3))
    masks = np.zeros((count, SIZE, SIZE), bool)
    for image, mask, label in zip(images, masks, labels, strict=True):
        y, x = rng.integers(0, SIZE - 24, 2) // 8 * 8
        mask[y : y + 24, x : x + 24] = True
        image[mask] = np.eye(3)[label] * 200 + rng.uniform(0, 40)
    return FineGrainedDataset(
        **{
            "name": "squares",
            "images": images.astype("uint8"),
            "labels": labels,
            "class_names": list("abc"),
            "is_train": np.arange(count) < 2 * count // 3,
            "masks": masks,
            **changes,
        }
    )


def pixels():
    """A backbone whose feature map is the image's colours, cell by cell, in 0..1."""
    images = keras.Input((None, None, 3))
    scaled = keras.layers.Rescaling(1 / 255)(images)
    return keras.Model(images, keras.layers.AveragePooling2D(SIZE // CELLS)(scaled))


@functools.cache
def controlled():
    encoder = CommonRationaleEncoder(pixels(), num_detectors=2, image_size=SIZE, seed=0)
    features = extract(encoder, squares(), batch_size=20)
    return encoder, features, add_controls(features, seed=1)


def feature_maps(encoder, dataset):
    return np.asarray(encoder.feature_map(dataset.images.astype("float32")))


def pooled(maps, weights):
    """By hand: sum_p w(p) phi(p) / sum_p w(p), of unit length."""
    weights = np.broadcast_to(weights, maps.shape[:3]).astype("float64")
    weights = weights / weights.sum(axis=(1, 2), keepdims=True)
    found = np.einsum("nhw,nhwc->nc", weights, maps)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_every_control_is_there_and_pools_by_its_own_maps():
    encoder, features, found = controlled()
    assert tuple(found.controls) == tuple(CONTROLS)
    maps = feature_maps(encoder, features.dataset)
    for name, control in found.controls.items():
        assert control.maps.shape == (48, CELLS, CELLS), name
        assert control.maps.min() >= 0, name
        np.testing.assert_allclose(np.linalg.norm(control.embedding, axis=1), 1, rtol=1e-5)
        if name != "concat":
            np.testing.assert_allclose(
                control.embedding, pooled(maps, control.maps), atol=1e-5, err_msg=name
            )
    assert found.controls["concat"].embedding.shape == (48, 6)


@pytest.mark.parametrize("pooling", ["concat", "rationale_max"])
def test_controls_have_beside_them_what_the_encoder_has(pooling):
    encoder = CommonRationaleEncoder(pixels(), 2, pooling, image_size=SIZE, seed=0)
    features = extract(encoder, squares(), batch_size=20)
    names = "center_prior,rationale_root,concat,rationale_alone"
    found = add_controls(features, names, seed=1, verbose=0).controls
    maps = feature_maps(encoder, features.dataset)
    largest = maps.max(axis=(1, 2))
    average = pooled(maps, 1)
    unit = largest / np.linalg.norm(largest, axis=1, keepdims=True)
    beside = {"concat": average, "rationale_max": unit}[pooling]
    for name in ("center_prior", "rationale_root"):
        own = pooled(maps, found[name].maps)
        both = np.concatenate([own, beside], axis=1) / 2**0.5
        np.testing.assert_allclose(found[name].embedding, both, atol=1e-5, err_msg=name)
    own = pooled(maps, features.embeddings.rationale)
    np.testing.assert_allclose(found["rationale_alone"].embedding, own, atol=1e-5)
    both = np.concatenate([own, average], axis=1) / 2**0.5
    as_concat = features.embeddings if pooling == "concat" else found["concat"]
    np.testing.assert_allclose(as_concat.embedding, both, atol=1e-5)


def test_a_controls_vocabulary_is_fitted_under_its_own_weights():
    """The rationale's map as a control is the encoder itself; other weights have other words."""
    encoder = CommonRationaleEncoder(pixels(), 2, "rationale_vlad", image_size=SIZE, seed=0)
    features = extract(encoder, squares(), batch_size=20)
    source = Source(features, seed=1, max_images=100)
    maps = feature_maps(encoder, features.dataset)
    rows, rationale = np.arange(len(maps)), features.embeddings.rationale
    fit_words(encoder.vocabulary, source.train_maps, rationale[source.train], seed=1)
    own = np.asarray(encoder.embed(maps, rationale))
    as_control = source.pooling("own", lambda rows, maps: rationale[rows])
    np.testing.assert_allclose(as_control(rows, maps, rationale), own, atol=1e-3)
    found = add_controls(features, "center_prior,mask,rationale_alone", seed=1, verbose=0).controls
    for name in ("center_prior", "mask"):
        fixed = found[name].maps
        assert found[name].embedding.shape == own.shape
        by_its_own = source.pooling("own", lambda rows, maps, fixed=fixed: fixed[rows])
        expected = by_its_own(rows, maps, fixed)
        np.testing.assert_allclose(found[name].embedding, expected, atol=1e-3, err_msg=name)
        with_the_encoders = np.asarray(encoder.embed(maps, fixed))
        assert np.abs(found[name].embedding - with_the_encoders).max() > 0.05, name
    alone = pooled(maps, rationale)
    np.testing.assert_allclose(found["rationale_alone"].embedding, alone, atol=1e-5)


def test_maps_are_what_their_names_say():
    encoder, features, found = controlled()
    maps, own = feature_maps(encoder, features.dataset), features.embeddings.rationale
    controls, train = found.controls, features.rows("train")
    expected = {
        "activation_norm": np.linalg.norm(maps, axis=-1),
        "activation_norm_squared": np.sum(maps**2, axis=-1),
        "center_prior": np.broadcast_to(center_prior(CELLS, CELLS), own.shape),
        "mean_map": np.broadcast_to(own[train].mean(axis=0), own.shape),
        "mask": features.dataset.masks.reshape(48, CELLS, 8, CELLS, 8).mean(axis=(2, 4)),
        "rationale_root": own**0.5,
        "rationale_squared": own**2,
        "rationale_floor": own + 0.1,
        "concat": own,
    }
    for name, value in expected.items():
        np.testing.assert_allclose(controls[name].maps, value, atol=1e-5, err_msg=name)
    softmax = np.exp(own / 0.2)
    ratio = controls["rationale_softmax"].maps / softmax
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-4)
    top = controls["rationale_top"].maps
    assert set(np.unique(top)) == {0, 1}
    assert (top.sum(axis=(1, 2)) >= CELLS**2 / 4).all()


def test_a_shuffled_map_is_another_image_s_of_the_same_split():
    _, features, found = controlled()
    own, shuffled = features.embeddings.rationale, found.controls["shuffled_maps"].maps
    for split in ("train", "test"):
        rows = features.rows(split)
        assert not any(np.array_equal(own[row], shuffled[row]) for row in rows)
        pool = {own[row].tobytes() for row in rows}
        assert {shuffled[row].tobytes() for row in rows} == pool


def test_fitted_branches_find_what_they_are_fitted_to():
    _, features, found = controlled()
    test = features.rows("test")
    cells = found.controls["mask"].maps[test]
    ratio = {name: energy(control.maps[test], cells) for name, control in found.controls.items()}
    assert ratio["mask_branch"]["energy_ratio"] > 3
    assert ratio["mask_branch"]["energy_ratio"] > ratio["center_branch"]["energy_ratio"]
    assert ratio["mask"]["energy"] == pytest.approx(1)


def test_neither_encoder_nor_its_own_numbers_change():
    encoder, features, found = controlled()
    again = extract(encoder, features.dataset, batch_size=20)
    np.testing.assert_array_equal(again.embeddings.rationale, features.embeddings.rationale)
    assert found.embeddings is features.embeddings
    twin = add_controls(again, ("untrained_branch", "center_branch"), seed=1)
    for name, control in twin.controls.items():
        np.testing.assert_allclose(control.maps, found.controls[name].maps, atol=1e-4)
    other = add_controls(again, "untrained_branch", seed=2).controls["untrained_branch"]
    assert not np.allclose(other.maps, found.controls["untrained_branch"].maps, atol=1e-2)


def test_they_are_judged_beside_the_own_pooling():
    _, features, found = controlled()
    evaluation = evaluate_features(
        found, ("retrieval", "linear_probe", "clustering", "localization")
    )
    controls = evaluation.metrics["controls"]
    assert tuple(controls) == tuple(CONTROLS)
    assert set(controls["mask"]) == {"retrieval", "linear_probe", "localization"}
    assert controls["mask"]["retrieval"]["rank1"] == 1
    assert controls["mask"]["localization"]["energy"] == pytest.approx(1)
    plain = evaluate_features(features, ("retrieval", "localization")).metrics
    assert evaluation.metrics["retrieval"] == plain["retrieval"]
    assert evaluation.metrics["localization"] == plain["localization"]
    assert "controls" not in plain
    rows = {(row["pooling"], row["protocol"], row["metric"]) for row in records(evaluation.metrics)}
    assert ("center_branch", "linear_probe", "top1") in rows
    assert ("mean_map", "localization", "energy_ratio") in rows
    assert "retrieval" in evaluation.per_image["mean_map"]


def test_without_foregrounds_the_bounds_are_left_out():
    encoder, features, _ = controlled()
    dataset = dataclasses.replace(features.dataset, masks=None)
    found = add_controls(extract(encoder, dataset, batch_size=20))
    assert set(CONTROLS) - set(found.controls) == {"mask_branch", "mask"}
    metrics = evaluate_features(found, ("retrieval", "localization")).metrics
    assert metrics["localization"] is None
    assert metrics["controls"]["center_prior"]["retrieval"]["map"] > 0


def test_the_encoders_own_pooling_is_no_control_of_itself(tmp_path):
    encoder = CommonRationaleEncoder(pixels(), pooling="concat", image_size=SIZE, seed=0)
    features = extract(encoder, squares(), batch_size=20)
    found = add_controls(features, ("center_prior", "concat"))
    assert list(found.controls) == ["center_prior"]
    evaluation = evaluate_features(found, ("retrieval", "localization"))
    alone = evaluate_features(features, ("retrieval", "localization"))
    assert evaluation.metrics["localization"] == alone.metrics["localization"]
    written = write_markdown(tmp_path / "report.md", "Squares", evaluation).read_text()
    assert "control: uniform map" in written


def test_an_image_without_foreground_is_averaged():
    encoder, features, _ = controlled()
    masks = features.dataset.masks.copy()
    masks[0] = False
    dataset = dataclasses.replace(features.dataset, masks=masks)
    found = add_controls(extract(encoder, dataset, batch_size=20), ("mask",))
    average = features.embeddings.average_embedding
    np.testing.assert_allclose(found.controls["mask"].embedding[0], average[0], atol=1e-5)


def test_energy_and_cells():
    cells = np.zeros((2, 2, 2))
    cells[0, 0] = 1
    maps = np.array([[[3, 0], [1, 0]], [[1, 1], [1, 1]]])
    assert energy(maps, cells) == {"energy": 0.75, "energy_ratio": 1.5}
    with pytest.raises(ValueError, match="empty in all 1"):
        energy(maps[1:], cells[1:])
    with pytest.raises(ValueError, match=r"\(N, h, w\)"):
        energy(maps[0], cells[0])
    with pytest.raises(ValueError, match="'squares' has neither"):
        foreground_cells(squares(masks=None), SIZE, 16, (CELLS, CELLS))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"controls": "nonsense"}, r"`controls` may hold activation_norm.*\['nonsense'\]"),
        ({"controls": ("mask", "no")}, r"\['no'\]"),
        ({"max_images": 0}, "`max_images` must be at least 1"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(ValueError, match=message):
        add_controls(controlled()[1], **options)


def test_features_of_another_origin_hold_no_maps():
    features = dataclasses.replace(controlled()[1], embedder=None)
    with pytest.raises(ValueError, match="must come from `extract`"):
        add_controls(features)
