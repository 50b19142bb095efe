"""A classifier on top of an encoder, for fine-tuning with plain `fit`."""

import pathlib
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cr._numbers import positive_number, whole_number
from keras_cr._replicas import check_same_scope, synchronized
from keras_cr._types import ArrayLike, Config, Dtype, Images, Shape, StrPath, Tensor
from keras_cr.layers import EmbeddingStandardization
from keras_cr.layers.batch_normalization import batch_normalizations
from keras_cr.models.encoder import CommonRationaleEncoder
from keras_cr.models.labelled_model import LabelledImageModel, labelled_embeddings
from keras_cr.models.labels import class_numbers
from keras_cr.models.layer_changes import set_trainable
from keras_cr.models.learning_rates import learning_rate_multipliers, scale_gradient
from keras_cr.models.logistic_regression import fit_logistic_regression
from keras_cr.presets.registry import ENCODER, PresetsOfClass

PRETRAINED_LR_MULTIPLIER = 0.1
_PARTS = {"all": True, "head": False}  # what `train` takes: whether the encoder learns
_ABSENT = -20.0  # the bias of a class that `fit_head` saw no image of


@keras.saving.register_keras_serializable(package="keras_cr")
class CommonRationaleClassifier(LabelledImageModel):
    """Classifies images by a linear layer on the encoder's embeddings.

    Made to learn with a Keras user's defaults (`compile("adam", ...)`, `fit`): the embeddings are
    centred and of one scale whatever the encoder, the head starts at zero, so that the first loss
    is that of guessing, and a pretrained encoder's batch normalisation keeps the statistics it has.
    With few labels `fit_head` is quicker than `fit`.

    Args:
        encoder: a `CommonRationaleEncoder`; its `pooling` is used.
        num_classes: number of classes.
        activation: of the last layer. `"softmax"` gives probabilities, as Keras' string losses
            expect; `None` gives logits, for losses with `from_logits=True`.
        dropout: share of the embedding's entries dropped in training.
        train: `"all"` trains encoder and head, `"head"` freezes the encoder; None leaves the
            encoder as it comes. The same as `classifier.encoder.trainable = True` or `False`; like
            every layer's `trainable` it is kept when the model is saved, and as everywhere in Keras
            a change takes effect at the next `compile`.
        encoder_lr_multiplier: the encoder learns at this multiple of the optimizer's learning rate,
            above 0; `train="head"` freezes it. None takes 0.1 for one that is pretrained, told as
            below, else 1. Under JAX and inside another model (behind augmentation layers, say) it
            is the gradient that is multiplied: the same for SGD, and of no effect on Adam. Where it
            is not 1, an optimizer with `use_ema` is refused.
        freeze_batch_norm: whether the encoder's batch normalisation keeps its statistics while the
            encoder is trained (it runs in inference mode then, without dropout of its own). None
            decides now: True if it has any statistics, which a network with fresh weights has not.
        **kwargs: as for `keras.Model`.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, num_classes)`, float32.

    Raises:
        ValueError: `encoder` is not a `CommonRationaleEncoder`, or was built in the scope of
            another strategy; `num_classes` is below 2, or `train` is unknown.

    Example:

    >>> classifier = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=200)
    >>> classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> classifier.fit(images, labels, epochs=10)
    """

    inner_model = "encoder"
    presets = PresetsOfClass(ENCODER)  # an encoder's preset gets a new last layer

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        num_classes: int,
        activation: str | None = "softmax",
        dropout: float = 0.0,
        train: str | None = None,
        encoder_lr_multiplier: float | None = None,
        freeze_batch_norm: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(encoder, CommonRationaleEncoder):
            raise ValueError(
                f"`encoder` must be a CommonRationaleEncoder. Received: {type(encoder).__name__}"
            )
        num_classes = whole_number("num_classes", num_classes, least=2)
        check_same_scope("encoder", encoder, self)
        _check_train(train)
        pretrained = _has_statistics(encoder)
        if encoder_lr_multiplier is None:
            encoder_lr_multiplier = PRETRAINED_LR_MULTIPLIER if pretrained else 1.0
        encoder_lr_multiplier = positive_number(
            "encoder_lr_multiplier", encoder_lr_multiplier, "; train='head' freezes the encoder."
        )
        if freeze_batch_norm not in (True, False, None):
            raise ValueError(
                "`freeze_batch_norm` must be True, False or None. "
                f"Received: freeze_batch_norm={freeze_batch_norm!r}"
            )
        if train is not None:
            set_trainable(encoder, _PARTS[train])
        self.encoder = encoder
        self.image_size = encoder.image_size
        self.num_classes = num_classes
        is_name = activation is None or isinstance(activation, str)
        self.activation = activation if is_name else keras.activations.serialize(activation)
        self.dropout_rate = dropout
        self.encoder_lr_multiplier = encoder_lr_multiplier
        self.freeze_batch_norm = bool(
            pretrained if freeze_batch_norm is None else freeze_batch_norm
        )
        self._steps_itself = False  # whether the step that is being taken is this model's own
        embedded = encoder.compute_output_shape((None, None, None, 3))
        self.standardize = EmbeddingStandardization(dtype="float32", name="standardize")
        self.standardize.build(embedded)
        self.dropout = keras.layers.Dropout(dropout, dtype="float32", name="dropout")
        self.head = keras.layers.Dense(
            num_classes,
            activation=activation,
            kernel_initializer="zeros",
            dtype="float32",
            name="head",
        )
        self.head.build(embedded)
        self.built = True

    def call(self, images: Images, training: bool = False) -> Tensor:
        learns = training and self.encoder.trainable and not self.freeze_batch_norm
        embedding = self.encoder(images, training=learns)
        if training and not self._steps_itself and self.encoder_lr_multiplier != 1:
            embedding = scale_gradient(embedding, self.encoder_lr_multiplier)
        features = self.standardize(embedding, training=training)
        return self.head(self.dropout(features, training=training))

    def make_train_function(self, force: bool = False) -> Any:
        shortened = self.encoder.trainable and self.encoder_lr_multiplier != 1
        if shortened and getattr(self.optimizer, "use_ema", False):
            raise ValueError(
                "`use_ema` of the optimizer averages steps of the whole learning rate, and the "
                f"encoder takes encoder_lr_multiplier={self.encoder_lr_multiplier} of them. Build "
                "the classifier with encoder_lr_multiplier=1 and a smaller learning rate, or leave "
                "`use_ema` out."
            )
        return super().make_train_function(force)

    def train_step(self, *args: Any) -> dict[str, Any]:
        if keras.backend.backend() == "jax":
            return super().train_step(*args)
        self._steps_itself = True
        try:
            multipliers = [(self.encoder, self.encoder_lr_multiplier)]
            with synchronized(self), learning_rate_multipliers(multipliers):
                return super().train_step(*args)
        finally:
            self._steps_itself = False

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], self.num_classes)

    def fit_head(
        self, images: Images, labels: ArrayLike | None = None, batch_size: int = 64, seed: int = 0
    ) -> dict[str, Any]:
        """Fits the head alone, to optimality: the linear probe of the embeddings, in seconds.

        An L2-regularised logistic regression on the frozen encoder's embeddings, whose strength is
        chosen on held-out parts of these images (see `keras_cr.evaluation.linear_probe`). It
        replaces what the head had learnt; `fit` can go on from there. No `compile` is needed.

        Args:
            images: (N, H, W, 3), RGB 0..255; or an iterable of batches `(images, labels)`, such as
                a `tf.data.Dataset`, each read once.
            labels: (N,) integers in `[0, num_classes)`, or (N, num_classes) one-hot; None where
                `images` brings them.
            batch_size: images at a time, where `images` is an array.
            seed: draws the held-out parts.

        Returns:
            How the fit came about: `c`, the inverse strength that was chosen; `held_out_top1`, the
            accuracy on images left out of the fit that chose it; `iterations`; `converged`.

        Raises:
            ImportError: scikit-learn is missing.
            ValueError: the labels don't fit the images, leave their range, or are all of one class.

        Example:

        >>> classifier = CommonRationaleClassifier.from_preset("demo_squeezenet", num_classes=10)
        >>> classifier.fit_head(images, labels)
        >>> classifier.predict(others).argmax(axis=1)
        """
        batch_size = whole_number("batch_size", batch_size)
        seed = whole_number("seed", seed, least=0)
        self._check_plain_head()
        embeddings, labels = labelled_embeddings(
            self.encoder, images, labels, self.num_classes, batch_size
        )
        labels = class_numbers(labels, len(embeddings), self.num_classes)
        probe = fit_logistic_regression(embeddings, labels, seed)
        kernel = np.zeros((embeddings.shape[1], self.num_classes))
        bias = np.full(self.num_classes, _ABSENT)
        kernel[:, probe.classes], bias[probe.classes] = probe.weights()
        self.standardize.adapt_to(probe.center)
        self.head.set_weights([kernel / self.standardize.scale, bias])
        return probe.details()

    def _check_plain_head(self) -> None:
        """Refuses a head whose weights are no longer a kernel and a bias, before any work."""
        kept = self.head.quantization_mode or ("LoRA" if self.head.lora_enabled else None)
        if kept:
            raise ValueError(
                f"`fit_head` needs a head of plain weights, and this one has {kept}: fit it first, "
                "then quantize or add LoRA; or start anew with from_preset(..., num_classes=...)."
            )

    def save_to_preset(self, folder: StrPath, **details: Any) -> pathlib.Path:
        """Writes the classifier as a preset folder; see `keras_cr.presets.save_preset`."""
        from keras_cr.presets import save_preset

        return save_preset(self, folder, **details)

    @classmethod
    def from_preset(
        cls,
        name: str,
        num_classes: int | None = None,
        activation: str | None = "softmax",
        dropout: float = 0.0,
        load_weights: bool = True,
        dtype: Dtype = None,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | None = None,
        local_files_only: bool = False,
        train: str | None = None,
        backbone: StrPath | keras.Model | None = None,
    ) -> "CommonRationaleClassifier":
        """Puts a new head on a pretrained encoder, or loads a saved classifier.

        Args:
            name: an encoder's or a classifier's preset: a name, a folder or an `hf://` handle.
            num_classes: number of classes of the new head. None loads a saved classifier with the
                head it has; a number gives a new head to its encoder.
            activation: as for the class; for a new head.
            dropout: as for the class; for a new head.
            load_weights: as for `CommonRationaleEncoder.from_preset`, and so on to
                `local_files_only`.
            train: as for the class.
            backbone: as for `CommonRationaleEncoder.from_preset`.
        """
        from keras_cr.presets import load_preset

        _check_train(train)

        model = load_preset(
            name,
            expected=(CommonRationaleEncoder, cls),
            load_weights=load_weights,
            dtype=dtype,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            backbone=backbone,
        )
        if isinstance(model, cls) and num_classes is None:
            if train is not None:
                set_trainable(model.encoder, _PARTS[train])
            return model
        if num_classes is None:
            raise ValueError(
                f"Preset {name!r} is an encoder without a head: pass `num_classes`, "
                "the number of classes to fine-tune for."
            )
        encoder = model.encoder if isinstance(model, cls) else model
        return cls(
            encoder,
            num_classes,
            activation=activation,
            dropout=dropout,
            train=train,
            dtype=encoder.dtype_policy,
        )

    def get_config(self) -> Config:
        return super().get_config() | {
            "num_classes": self.num_classes,
            "activation": self.activation,
            "dropout": self.dropout_rate,
            "encoder_lr_multiplier": self.encoder_lr_multiplier,
            "freeze_batch_norm": self.freeze_batch_norm,
        }


def _check_train(train: str | None) -> None:
    if train is not None and not (isinstance(train, str) and train in _PARTS):
        raise ValueError(f"`train` must be 'all', 'head' or None. Received: train={train!r}")


def _has_statistics(encoder: CommonRationaleEncoder) -> bool:
    """Whether batch normalisation has seen images: some statistics are not the initial ones."""
    norms = batch_normalizations(encoder)
    return not norms or any(
        np.any(ops.convert_to_numpy(norm.moving_mean) != 0)
        or np.any(ops.convert_to_numpy(norm.moving_variance) != 1)
        for norm in norms
    )
