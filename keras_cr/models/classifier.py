"""A classifier on top of an encoder, for fine-tuning with plain `fit`."""

import keras

from keras_cr._numbers import whole_number
from keras_cr.layers import RationalePooling
from keras_cr.models.encoder import CommonRationaleEncoder
from keras_cr.models.image_model import ImageModel


@keras.saving.register_keras_serializable(package="keras_cr")
class CommonRationaleClassifier(ImageModel):
    """Classifies images by a linear layer on rationale-pooled features.

    Args:
        encoder: a `CommonRationaleEncoder`; its `pooling` is used, without scaling to unit length.
        num_classes: number of classes.
        activation: of the last layer. `"softmax"` gives probabilities, as Keras' string losses
            expect; `None` gives logits.
        dropout: share of pooled features dropped in training.
        **kwargs: as for `keras.Model`.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, num_classes)`, float32.

    Raises:
        ValueError: `encoder` is not a `CommonRationaleEncoder`, or `num_classes` is below 2.

    Example:

    >>> classifier = CommonRationaleClassifier.from_preset("cub_resnet50", num_classes=200)
    >>> classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    >>> classifier.fit(images, labels)
    """

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        num_classes: int,
        activation: str | None = "softmax",
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(encoder, CommonRationaleEncoder):
            raise ValueError(
                f"`encoder` must be a CommonRationaleEncoder. Received: {type(encoder).__name__}"
            )
        self.encoder = encoder
        self.image_size = encoder.image_size
        self.num_classes = num_classes = whole_number("num_classes", num_classes, least=2)
        self.activation = activation
        self.dropout_rate = dropout
        self.pool = RationalePooling(normalize=False, name="pool")
        self.dropout = keras.layers.Dropout(dropout, dtype="float32", name="dropout")
        self.head = keras.layers.Dense(
            num_classes, activation=activation, dtype="float32", name="head"
        )
        self.head.build(encoder.compute_output_shape((None, None, None, 3)))
        self.built = True

    def call(self, images, training=False):
        feature_map = self.encoder.feature_map(images, training=training)
        parts = []
        if self.encoder.pooling != "average":
            rationale = self.encoder.branch(feature_map, training=training)
            parts.append(self.pool(feature_map, rationale))
        if self.encoder.pooling != "rationale":
            parts.append(self.pool(feature_map))
        features = parts[0] if len(parts) == 1 else keras.ops.concatenate(parts, axis=-1)
        return self.head(self.dropout(features, training=training))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_classes)

    def save_to_preset(self, folder, **details):
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
        dtype=None,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | None = None,
        local_files_only: bool = False,
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
        """
        from keras_cr.presets import load_preset

        model = load_preset(
            name,
            expected=(CommonRationaleEncoder, cls),
            load_weights=load_weights,
            dtype=dtype,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
        if isinstance(model, cls) and num_classes is None:
            return model
        if num_classes is None:
            raise ValueError(
                f"Preset {name!r} is an encoder without a head: pass `num_classes`, "
                "the number of classes to fine-tune for."
            )
        encoder = model.encoder if isinstance(model, cls) else model
        return cls(
            encoder, num_classes, activation=activation, dropout=dropout, dtype=encoder.dtype_policy
        )

    def get_config(self):
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "num_classes": self.num_classes,
            "activation": self.activation,
            "dropout": self.dropout_rate,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config)
