"""What a classifier takes as labels, wherever they come from, and what it says of the rest."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_cr.models import CommonRationaleClassifier
from tests.case import images, tiny_encoder

X = images(12, size=32)
Y = np.arange(12) % 3
ONE_HOT = np.eye(3, dtype="float32")[Y]
RANGE = r"integers from 0 to 2, for num_classes=3. Received: values from 1 to 3"


def classifier(loss="sparse_categorical_crossentropy", **options):
    model = CommonRationaleClassifier(tiny_encoder(), 3, train="head", **options)
    model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=True)
    return model


def dataset(x=X, y=Y, *more):
    return tf.data.Dataset.from_tensor_slices((x, y, *more)).batch(4)


class Parts(keras.utils.PyDataset):
    """Batches of four, by their number."""

    def __init__(self, x=X, y=Y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 3

    def __getitem__(self, number):
        rows = slice(4 * number, 4 * number + 4)
        return self.x[rows], self.y[rows]


def batches(x=X, y=Y):
    yield from (Parts(x, y)[number] for number in range(3))


WAYS = {
    "arrays": lambda model, y: model.fit(X, y, verbose=0),
    "a list": lambda model, y: model.fit(X, list(y), verbose=0),
    "a tensor": lambda model, y: model.fit(X, tf.constant(y), verbose=0),
    "a dataset": lambda model, y: model.fit(dataset(y=y), verbose=0),
    "a generator": lambda model, y: model.fit(batches(y=y), verbose=0),
    "a PyDataset": lambda model, y: model.fit(Parts(y=y), verbose=0),
    "held-out arrays": lambda model, y: model.fit(X, Y, validation_data=(X, y), verbose=0),
    "a held-out dataset": lambda m, y: m.fit(X, Y, validation_data=dataset(y=y), verbose=0),
    "evaluate": lambda model, y: model.evaluate(X, y, verbose=0),
    "evaluate a dataset": lambda model, y: model.evaluate(dataset(y=y), verbose=0),
    "train_on_batch": lambda model, y: model.train_on_batch(X, y),
    "test_on_batch": lambda model, y: model.test_on_batch(X, y),
    "fit_head": lambda model, y: model.fit_head(X, y),
    "fit_head of a dataset": lambda model, y: model.fit_head(dataset(y=y)),
}


@pytest.mark.parametrize("way", WAYS)
def test_labels_out_of_range_are_refused_on_every_way_in(way):
    model = classifier()
    before = model.head.get_weights()
    with pytest.raises(ValueError, match=RANGE):
        WAYS[way](model, Y + 1)
    if not way.startswith("held-out") and way != "a held-out dataset":
        for old, new in zip(before, model.head.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    WAYS[way](model, Y)  # what was refused leaves nothing behind


def test_under_jit_compile_they_are_refused_too():
    model = classifier()
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    with pytest.raises(ValueError, match=RANGE):
        model.fit(X, tf.constant(Y + 1), verbose=0)
    with pytest.raises(ValueError, match=RANGE):
        model.fit(dataset(y=Y + 1), verbose=0)


@pytest.mark.parametrize(
    ("y", "loss", "message"),
    [
        (ONE_HOT, "sparse_categorical_crossentropy", "`y` .*loss='categorical_crossentropy' takes"),
        (Y, "categorical_crossentropy", "`y` .*loss='sparse_categorical_crossentropy' takes"),
        (
            ONE_HOT,
            keras.losses.SparseCategoricalCrossentropy(),
            "`y` .*loss='categorical_crossentropy' takes",
        ),
        (ONE_HOT[:, :2], "categorical_crossentropy", r"num_classes=3 shares. .*shape \(12, 2\)"),
        (Y.astype(object), "sparse_categorical_crossentropy", r"astype\('int64'\).*such as 0"),
        ([None] * 12, "sparse_categorical_crossentropy", "Received: object, such as None"),
        (list("abc" * 4), "sparse_categorical_crossentropy", "np.unique.*such as .*'a'"),
        ([[0], [1, 2]] * 6, "sparse_categorical_crossentropy", "a list of unequal parts"),
        (Y + 0.5, "sparse_categorical_crossentropy", "values from 0.5 to 2.5"),
        (np.where(Y, Y, np.nan), "sparse_categorical_crossentropy", "received NaN or infinity"),
        (None, "sparse_categorical_crossentropy", "`y` must be the labels.*Received: None"),
    ],
)
def test_labels_that_cannot_be_are_told_of(y, loss, message):
    model = classifier(loss)
    model.run_eagerly = False
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, verbose=0)
    model.fit(X, Y if "sparse" in str(loss).lower() else ONE_HOT, verbose=0)


def test_what_is_clear_is_taken():
    def fitted(*data, loss="sparse_categorical_crossentropy", **options):
        model = classifier(loss)
        model.fit(*data, shuffle=False, verbose=0, **options)
        return np.asarray(model.head.kernel)

    expected = fitted(X, Y)
    assert np.abs(expected).max() > 0
    nothing = tf.data.Dataset.from_tensors((X, Y)).map(lambda x, y: (x, y, None))
    for same in (
        fitted(X, list(Y), sample_weight=[1.0] * 12),
        fitted(X, Y[:, None].astype("float32")),
        fitted(nothing),
        fitted(X, ONE_HOT, loss="categorical_crossentropy"),
    ):
        np.testing.assert_allclose(same, expected, atol=1e-6)
    soft = fitted(X, 0.9 * ONE_HOT + 0.1 / 3, loss="categorical_crossentropy")
    np.testing.assert_allclose(soft, 0.9 * expected, atol=1e-6)  # from a head of zeros
    unknown = dataset(y=np.full(12, -1))  # labels that predict has no use for
    assert classifier().predict(unknown, verbose=0).shape == (12, 3)


@pytest.mark.parametrize(
    "data",
    [
        tf.data.Dataset.from_tensors(X),
        tf.data.Dataset.from_tensors({"image": X, "label": Y}),
    ],
)
def test_batches_without_labels_are_told_of(data):
    with pytest.raises(ValueError, match=r"`x` must hold labels too: batches \(images, labels\)"):
        classifier().fit(data, verbose=0)
    with pytest.raises(ValueError, match="`validation_data` must hold labels too"):
        classifier().fit(X, Y, validation_data=data, verbose=0)


@pytest.mark.parametrize("data", [X, (X,)])
def test_held_out_images_without_labels_are_told_of(data):
    with pytest.raises(ValueError, match="`validation_data` must be .*images alone"):
        classifier().fit(X, Y, validation_data=data, verbose=0)


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1, 2, 3], "dict.*Received: list"), ({7: 1.0}, r"from 0 to 2. Received: \[7\]")],
)
def test_class_weights_are_a_dict_of_classes(weights, message):
    with pytest.raises(ValueError, match=f"`class_weight` must .*{message}"):
        classifier().fit(X, Y, class_weight=weights, verbose=0)


@pytest.mark.parametrize(
    "way",
    {
        "arrays": lambda model, w: model.fit(X, Y, sample_weight=w, verbose=0),
        "a list": lambda model, w: model.fit(X, Y, sample_weight=w.tolist(), verbose=0),
        "a dataset": lambda model, w: model.fit(dataset(X, Y, w), verbose=0),
        "held out": lambda model, w: model.fit(X, Y, validation_data=(X, Y, w), verbose=0),
        "evaluate": lambda model, w: model.evaluate(X, Y, sample_weight=w, verbose=0),
        "evaluate by place": lambda model, w: model.evaluate(X, Y, 4, 0, w),
        "train_on_batch": lambda model, w: model.train_on_batch(X, Y, w),
        "test_on_batch": lambda model, w: model.test_on_batch(X, Y, sample_weight=w),
    }.values(),
)
def test_sample_weights_are_finite_and_count(way):
    weights = np.ones(12, "float32")
    way(classifier(), weights)
    weights[10] = np.nan
    model = classifier()
    with pytest.raises(ValueError, match="must be finite; received NaN or infinity"):
        way(model, weights)
    assert all(np.isfinite(each).all() for each in model.get_weights())


def test_every_batch_of_a_pydataset_is_looked_at():
    broken = X.copy()
    broken[9, 0, 0, 0] = np.nan
    for run in (lambda m: m.predict(Parts(broken)), lambda m: m.fit(Parts(broken), verbose=0)):
        with pytest.raises(ValueError, match=r"`x\[2\]` must be finite.*position 1"):
            run(classifier())
    whole, parts = classifier(), classifier()
    data = Parts()
    parts.fit(data, shuffle=False, verbose=0)
    whole.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    np.testing.assert_allclose(parts.head.kernel, whole.head.kernel, atol=1e-6)
    assert type(data) is Parts, "what was given is as it was"


def test_a_dataloader_is_looked_at():
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch")

    def loader(x):
        tensors = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(Y))
        return torch.utils.data.DataLoader(tensors, batch_size=4)

    classifier().fit(loader(X), epochs=2, verbose=0)
    with pytest.raises(ValueError, match="Multiply images in 0..1 by 255"):
        classifier().fit(loader(X / 255), verbose=0)
    with pytest.raises(ValueError, match="Multiply images in 0..1 by 255"):
        classifier().predict(loader(X / 255), verbose=0)


def test_images_of_unknown_rank_are_told_of():
    signature = (tf.TensorSpec(None), tf.TensorSpec(None, tf.int64))
    data = tf.data.Dataset.from_generator(batches, output_signature=signature)
    with pytest.raises(ValueError, match="`x` must have a known shape.*ensure_shape"):
        classifier().fit(data, verbose=0)


@pytest.mark.parametrize("data", [None, 3])
def test_what_is_no_data_is_told_of(data):
    with pytest.raises(ValueError, match="`x` must be images"):
        classifier().predict(data, verbose=0)


def test_an_average_over_steps_would_undo_the_encoders_share():
    for multiplier, train in ((0.1, "all"), (1, "all"), (0.1, "head")):
        model = CommonRationaleClassifier(
            tiny_encoder(), 3, train=train, encoder_lr_multiplier=multiplier
        )
        model.compile(keras.optimizers.SGD(0.1, use_ema=True), "sparse_categorical_crossentropy")
        if (multiplier, train) != (0.1, "all"):
            assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"]).all()
            continue
        for learn in (lambda m: m.fit(X, Y, verbose=0), lambda m: m.train_on_batch(X, Y)):
            with pytest.raises(ValueError, match="`use_ema` .*encoder_lr_multiplier=0.1.*=1 and"):
                learn(model)


@pytest.mark.parametrize("change", ["int8", "LoRA"])
def test_fit_head_leaves_a_changed_head_alone(change):
    model = classifier()
    model.fit_head(X, Y)
    model.head.enable_lora(2) if change == "LoRA" else model.quantize("int8")
    before = model.predict(X, verbose=0)
    with pytest.raises(ValueError, match=f"`fit_head` needs a head of plain weights.*{change}"):
        model.fit_head(X[:6], Y[:6])
    np.testing.assert_array_equal(model.predict(X, verbose=0), before)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((X, np.where(np.arange(12)[:, None] < 8, ONE_HOT, 0)), "one-hot rows.*at position 8"),
        ((X, 0.9 * ONE_HOT + 0.1 / 3), "one-hot rows, a single 1.*at position 0"),
        ((dataset(X, Y, np.zeros(12)),), "sample weights are for `fit`.*tuple of 3 parts"),
        ((dataset().repeat(),), r"must end.*repeat\(\)"),
        ((X,), "`labels` must be given"),
        ((None,), "`labels` must be given"),
        ((X, Y, 0), "batch_size=0"),
        ((X, Y, "a"), "batch_size='a'"),
        ((X, Y, 64, 1.5), "seed=1.5"),
        ((X, Y[:11]), r"\(12,\) integers.*Received: shape"),
    ],
)
def test_what_fit_head_cannot_take(given, message):
    with pytest.raises(ValueError, match=message):
        classifier().fit_head(*given)


def test_fit_head_needs_finite_embeddings():
    model = classifier()
    for variable in model.encoder.backbone.weights:
        variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(ValueError, match="`images` must have finite embeddings"):
        model.fit_head(X, Y)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("encoder_lr_multiplier", np.inf),
        ("encoder_lr_multiplier", True),
        ("encoder_lr_multiplier", "0.1"),
        ("freeze_batch_norm", "no"),
        ("train", ["head"]),
    ],
)
def test_arguments_of_another_kind(option, value):
    with pytest.raises(ValueError, match=f"`{option}` must be"):
        CommonRationaleClassifier(tiny_encoder(), 3, **{option: value})
