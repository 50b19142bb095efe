"""What people do with a Keras model works on a classifier."""

import keras
import numpy as np
import pytest

from keras_cr import CommonRationaleClassifier
from keras_cr.models import SqueezeNet
from tests.case import tiny_backbone, tiny_encoder
from tests.data.helpers import save_image


def data(number=24, classes=3):
    """Grey images whose brightness is their class."""
    labels = np.arange(number) % classes
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 80, (number, 32, 32, 3)) * (1 + labels[:, None, None, None])
    return images.astype("float32"), labels


def compiled(optimizer="adam", encoder=None, **options):
    classifier = CommonRationaleClassifier(encoder or tiny_encoder(), 3)
    classifier.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **options
    )
    return classifier


def is_same(model, other, images):
    np.testing.assert_allclose(model(images), other(images), atol=1e-5)
    return len(model.trainable_variables) == len(other.trainable_variables)


def test_validation_data_callbacks_and_schedules(tmp_path):
    x, y = data()
    schedule = keras.optimizers.schedules.CosineDecay(0.02, 30)
    classifier = compiled(keras.optimizers.Adam(schedule))
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=30, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", save_best_only=True),
        keras.callbacks.TensorBoard(tmp_path / "logs", histogram_freq=1),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = classifier.fit(
        x, y, 8, epochs=10, validation_data=(x, y), callbacks=callbacks, verbose=0
    ).history
    best = int(np.argmin(history["val_loss"]))
    assert history["val_accuracy"][best] > 0.9
    assert list((tmp_path / "logs").rglob("events*"))
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    loss = loaded.evaluate(x, y, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-4)


def test_reduce_on_plateau_and_validation_split():
    x, y = data()
    classifier = compiled()
    callback = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10.0)
    classifier.fit(x, y, epochs=4, validation_split=0.25, callbacks=[callback], verbose=0)
    assert float(classifier.optimizer.learning_rate) < 1e-3


def test_backup_and_restore_goes_on_where_it_stopped(tmp_path):
    x, y = data()

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def run(epochs, *callbacks):
        keras.utils.set_random_seed(0)
        classifier = compiled()
        classifier.fit(x, y, 8, epochs=epochs, shuffle=False, callbacks=callbacks, verbose=0)
        return classifier

    def backup():
        return keras.callbacks.BackupAndRestore(tmp_path / "backup")

    whole = run(4)
    with pytest.raises(KeyboardInterrupt):
        run(4, backup(), Stop())
    resumed = run(4, backup())
    for expected, weight in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-6)


def test_class_and_sample_weights_shift_what_is_predicted():
    x = np.full((30, 32, 32, 3), 99.0, "float32")  # all alike: only the weights decide
    y = np.repeat([0, 1, 2], 10)

    def predicted(**weights):
        encoder = tiny_encoder()
        encoder.trainable = False  # batches without variance: what differs would be rounding
        classifier = compiled(keras.optimizers.SGD(0.5), encoder)
        classifier.fit(x, y, epochs=10, verbose=0, **weights)
        return classifier.predict(x[:1], verbose=0)[0]

    best = np.array([1, 10, 1]) / 12
    by_class = predicted(class_weight={0: 1.0, 1: 10.0, 2: 1.0})
    np.testing.assert_allclose(by_class, best, atol=0.02)
    by_sample = predicted(sample_weight=np.where(y == 1, 10.0, 1.0))
    np.testing.assert_allclose(by_sample, best, atol=0.02)
    np.testing.assert_allclose(predicted(), 1 / 3, atol=0.02)


def test_image_dataset_from_directory(tmp_path):
    x, y = data(24)
    for number, (image, label) in enumerate(zip(x, y, strict=True)):
        save_image(
            tmp_path / f"class_{label}" / f"{number}.png", image.clip(0, 255).astype("uint8")
        )
    dataset = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(32, 32), batch_size=4, seed=0, verbose=False
    )
    classifier = compiled(keras.optimizers.Adam(0.02))
    history = classifier.fit(dataset, epochs=30, verbose=0).history
    assert history["accuracy"][-1] > 0.8
    one_hot = keras.utils.image_dataset_from_directory(
        tmp_path, image_size=(32, 32), label_mode="categorical", verbose=False
    )
    classifier.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    assert classifier.evaluate(one_hot, verbose=0, return_dict=True)["accuracy"] > 0.8


@pytest.mark.parametrize(
    "make",
    [
        lambda classifier: keras.Sequential([keras.layers.RandomFlip(), classifier]),
        lambda classifier: keras.Sequential([keras.layers.RandomRotation(0.05), classifier]),
        lambda classifier: keras.Model(
            inputs := keras.Input((32, 32, 3)),
            classifier(keras.layers.RandomContrast(0.1)(inputs)),
        ),
    ],
)
def test_behind_augmentation_layers(make, tmp_path):
    x, y = data()
    model = make(CommonRationaleClassifier(tiny_encoder(), 3))
    model.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = model.fit(x, y, 8, epochs=15, verbose=0).history
    assert history["accuracy"][-1] > 0.8
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    x, y = data()
    encoder = tiny_encoder(dtype=policy)
    classifier = compiled(keras.optimizers.Adam(0.02), encoder)
    history = classifier.fit(x, y, 8, epochs=15, verbose=0).history
    assert history["accuracy"][-1] > 0.9
    assert classifier.predict(x, verbose=0).dtype == np.float32


@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 3}, {"jit_compile": True}, {"run_eagerly": True}]
)
def test_ways_to_run_take_the_same_steps(options):
    x, y = data()
    weights = []
    for chosen in ({}, options):
        keras.utils.set_random_seed(0)
        classifier = compiled(keras.optimizers.SGD(0.01), **chosen)
        classifier.fit(x, y, 8, epochs=2, shuffle=False, verbose=0)
        weights.append(classifier.get_weights())
    for expected, weight in zip(*weights, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=2e-5)


def freeze_by_argument(classifier):
    return CommonRationaleClassifier(classifier.encoder, 3, train="head")


def freeze_encoder(classifier):
    classifier.encoder.trainable = False
    return classifier


def freeze_backbone(classifier):
    classifier.encoder.backbone.trainable = False
    return classifier


def freeze_one_layer(classifier):
    classifier.encoder.backbone.layers[2].trainable = False
    return classifier


def freeze_all_but_one_layer(classifier):
    classifier.encoder.trainable = False
    classifier.encoder.backbone.layers[-1].trainable = True
    return classifier


FREEZE = [
    freeze_by_argument,
    freeze_encoder,
    freeze_backbone,
    freeze_one_layer,
    freeze_all_but_one_layer,
]


@pytest.mark.parametrize("backbone", [tiny_backbone, lambda: SqueezeNet(((8, 16),), width=8)])
@pytest.mark.parametrize("freeze", FREEZE)
def test_what_is_frozen_stays_frozen_in_every_format(freeze, backbone, tmp_path):
    from keras_cr import CommonRationaleEncoder

    x, y = data(6)
    encoder = CommonRationaleEncoder(backbone(), num_detectors=2, seed=0)
    classifier = freeze(CommonRationaleClassifier(encoder, 3))
    count = len(classifier.trainable_variables)
    assert 2 <= count < 2 + len(encoder.variables)
    classifier.save(tmp_path / "model.keras")
    classifier.save_to_preset(tmp_path / "preset")
    copies = {
        "keras": keras.saving.load_model(tmp_path / "model.keras"),
        "preset": CommonRationaleClassifier.from_preset(str(tmp_path / "preset")),
        "config": CommonRationaleClassifier.from_config(classifier.get_config()),
        "clone": keras.models.clone_model(classifier),
    }
    copies["config"].set_weights(classifier.get_weights())
    copies["clone"].set_weights(classifier.get_weights())
    for name, copy in copies.items():
        assert is_same(classifier, copy, x), name
        copy.compile(
            keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True
        )  # a graph takes far longer to make than a step
        copy.fit(x, y, verbose=0)
        names = [variable.path.split("/")[-2:] for variable in classifier.trainable_variables]
        trained = [variable.path.split("/")[-2:] for variable in copy.trainable_variables]
        assert [tail for _, tail in trained] == [tail for _, tail in names], name
        moved = [
            not np.array_equal(before, after)
            for before, after in zip(classifier.get_weights(), copy.get_weights(), strict=True)
        ]
        assert sum(moved) <= count + 6, name  # and running statistics: of the mean, of the batches


def test_frozen_encoder_does_not_move_and_thaws():
    x, y = data()
    encoder = tiny_encoder()
    classifier = CommonRationaleClassifier(encoder, 3, train="head")
    before = encoder.get_weights()
    classifier.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    classifier.fit(x, y, verbose=0)
    for old, new in zip(before, encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    encoder.trainable = True
    classifier.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    classifier.fit(x, y, verbose=0)
    assert not np.array_equal(before[0], encoder.get_weights()[0])


@pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
def test_quantized_models_are_saved_and_loaded(mode, tmp_path):
    x, y = data()
    classifier = CommonRationaleClassifier(tiny_encoder(), 3)
    classifier.fit_head(x, y)
    before = classifier.predict(x, verbose=0)
    with pytest.warns(UserWarning, match="quantize"):  # Keras: of layers that it can't quantize
        classifier.quantize(mode)
    assert classifier.head.dtype_policy.quantization_mode == mode
    after = classifier.predict(x, verbose=0)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).mean() > 0.8
    classifier.save(tmp_path / "model.keras")
    classifier.save_to_preset(tmp_path / "preset")
    for loaded in (
        keras.saving.load_model(tmp_path / "model.keras"),
        CommonRationaleClassifier.from_preset(str(tmp_path / "preset")),
    ):
        np.testing.assert_allclose(loaded.predict(x, verbose=0), after, atol=1e-6)
        assert loaded.head.dtype_policy.quantization_mode == mode


def test_lora_is_trained_saved_and_loaded(tmp_path):
    x, y = data()
    classifier = CommonRationaleClassifier(tiny_encoder(), 3)
    classifier.head.enable_lora(2)
    for layer in classifier.encoder.backbone.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.enable_lora(2)
    kernel = np.array(classifier.encoder.backbone.layers[1]._kernel)
    classifier.compile(
        keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = classifier.fit(x, y, 8, epochs=15, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    np.testing.assert_array_equal(kernel, classifier.encoder.backbone.layers[1]._kernel)
    classifier.save(tmp_path / "model.keras")
    classifier.save_to_preset(tmp_path / "preset")
    for loaded in (
        keras.saving.load_model(tmp_path / "model.keras"),
        CommonRationaleClassifier.from_preset(str(tmp_path / "preset")),
    ):
        assert is_same(classifier, loaded, x)
        assert loaded.head.lora_enabled


def test_the_encoders_share_of_the_learning_rate_is_the_same_for_every_optimizer():
    x, y = data(8)

    def moved(optimizer, multiplier):
        keras.utils.set_random_seed(0)
        encoder = tiny_encoder()
        classifier = CommonRationaleClassifier(
            encoder, 3, encoder_lr_multiplier=multiplier, freeze_batch_norm=True
        )
        classifier.head.kernel.assign(keras.random.normal(classifier.head.kernel.shape, seed=1))
        before = encoder.backbone.layers[1].kernel.numpy(), classifier.head.kernel.numpy()
        classifier.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
        classifier.fit(x, y, 8, verbose=0)
        after = encoder.backbone.layers[1].kernel.numpy(), classifier.head.kernel.numpy()
        return [new - old for new, old in zip(after, before, strict=True)]

    for make in (lambda: keras.optimizers.SGD(0.01), lambda: "adam", lambda: "adamw"):
        whole, share = moved(make(), 1.0), moved(make(), 0.25)
        np.testing.assert_allclose(share[0], 0.25 * whole[0], rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(share[1], whole[1], rtol=1e-4, atol=1e-7)


def test_pretrained_statistics_are_kept_and_fresh_ones_learnt():
    x, y = data()
    fresh = CommonRationaleClassifier(tiny_encoder(), 3)
    assert (fresh.freeze_batch_norm, fresh.encoder_lr_multiplier) == (False, 1.0)
    fresh.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    fresh.fit(x, y, epochs=3, verbose=0)
    norm = fresh.encoder.backbone.layers[2]
    learnt = np.array(norm.moving_mean)
    assert np.any(learnt != 0)
    pretrained = CommonRationaleClassifier(fresh.encoder, 3)
    assert (pretrained.freeze_batch_norm, pretrained.encoder_lr_multiplier) == (True, 0.1)
    pretrained.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    pretrained.fit(x, y, verbose=0)
    np.testing.assert_array_equal(learnt, norm.moving_mean)
    copy = CommonRationaleClassifier.from_config(pretrained.get_config())
    assert (copy.freeze_batch_norm, copy.encoder_lr_multiplier) == (True, 0.1)


def test_a_prediction_does_not_depend_on_the_batch_and_one_image_trains():
    x, y = data()
    classifier = compiled(run_eagerly=True)
    classifier.fit(x[:1], y[:1], epochs=2, verbose=0)
    together = classifier.predict(x, verbose=0)
    np.testing.assert_allclose(classifier.predict(x[:1], verbose=0), together[:1], atol=1e-5)
    assert np.isfinite(together).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": "tail"}, "`train` must be 'all', 'head' or None. Received: train='tail'"),
        ({"encoder_lr_multiplier": 0}, "`encoder_lr_multiplier` must be a positive.*'head'"),
        ({"encoder_lr_multiplier": -1.0}, "`encoder_lr_multiplier` must be a positive"),
        ({"encoder_lr_multiplier": float("nan")}, "`encoder_lr_multiplier` must be a positive"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        CommonRationaleClassifier(tiny_encoder(), 3, **options)
