"""A small encoder that learns a large one's embeddings and maps of the same images, unlabelled."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

import keras
import tensorflow as tf
from keras import ops
from keras.optimizers.schedules import CosineDecay

from keras_cr._numbers import positive_number, whole_number
from keras_cr._progress import Progress, Verbose
from keras_cr._types import Config
from keras_cr.data import Augmentation, FineGrainedDataset, two_views
from keras_cr.losses import RationaleFit
from keras_cr.models import CommonRationaleEncoder, backbone_from_name
from keras_cr.models.layer_changes import change_layers, layer_changes, set_trainable
from keras_cr.pretraining.reporting import ProgressBar

_OF_LABELS = ("student_loss", "total_loss")  # that Keras' Distiller measures


@keras.saving.register_keras_serializable(package="keras_cr")
class Distill(keras.distillation.Distiller):
    """Teaches a small backbone what a trained encoder makes of images; labels play no part.

    Knowledge distillation (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015) of
    embeddings: the cosine distance between the teacher's and the student's embedding of the same
    view, and `map_weight` times the `RationaleFit` between their maps, the teacher's resized to the
    student's. Keras' Distiller is the loop. `fit` takes batches of images, `(B, H, W, 3)`, RGB
    0..255; `keras_cr.pretraining.distill` makes them of a data set, with views.

    The student's features are projected to as many channels as the teacher's embedding has, by a
    1x1 convolution that stays: the student is an encoder as any other, and its embeddings can be
    compared with the teacher's. Where the numbers agree already there is no projection.

    Args:
        teacher: a trained encoder. Keras freezes it.
        student: a backbone or its name, as for `CommonRationaleEncoder`; or an encoder whose
            embeddings are as long as the teacher's, to go on with.
        map_weight: of the loss between maps; 0 leaves them alone, and so does a teacher that pools
            by plain averages, which has no map.
        seed: of the projection's and the branch's first weights, and of a named backbone's.
        **kwargs: as for `keras.Model`.

    Attributes:
        encoder: the student, a `CommonRationaleEncoder`.

    Raises:
        ValueError: the teacher is no encoder, the student's embeddings are of another length, or
            `map_weight` is negative.

    Example:

    >>> distillation = Distill(teacher, "squeezenet")
    >>> distillation.compile(keras.optimizers.Adam(1e-3))
    >>> distillation.fit(images, epochs=20)
    >>> distillation.encoder.save_to_preset("student")
    """

    def __init__(
        self,
        teacher: CommonRationaleEncoder,
        student: keras.Model | str,
        map_weight: float = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.map_weight = positive_number("map_weight", map_weight) if map_weight else 0.0
        encoder = student_of(teacher, student, seed)
        losses = [keras.distillation.FeatureDistillation({"embedding": _distance, "map": None})]
        weights = [1.0]
        if self.map_weight and teacher.pooling != "average":
            losses.append(keras.distillation.FeatureDistillation({"embedding": None, "map": _fit}))
            weights.append(self.map_weight)
        kwargs = {"name": "distill"} | kwargs
        super().__init__(
            _Seen(teacher, name="teacher"),
            _Seen(encoder, name="student"),
            losses,
            weights,
            student_loss_weight=0.0,
            **kwargs,
        )
        self.built = True

    @property
    def encoder(self) -> CommonRationaleEncoder:
        """The student."""
        return self.student.encoder

    @property
    def metrics(self) -> list[keras.Metric]:
        """The Distiller's, without those that only labels make worth reading."""
        return [metric for metric in super().metrics if metric.name not in _OF_LABELS]

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """As `keras.Model.compile`, without a loss: there are no labels."""
        super().compile(optimizer, loss="mse", **kwargs)  # which Keras asks for, and never uses
        self.optimizer.build(self.trainable_variables)  # in the first step it would cost a trace

    def get_config(self) -> Config:
        return {
            "teacher": keras.saving.serialize_keras_object(self.teacher.encoder),
            "student": keras.saving.serialize_keras_object(self.encoder),
            "map_weight": self.map_weight,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: Config) -> Self:
        parts = ("teacher", "student")
        read = {name: keras.saving.deserialize_keras_object(config[name]) for name in parts}
        return cls(**config | read)


def distill(
    teacher: CommonRationaleEncoder,
    student: keras.Model | str,
    dataset: FineGrainedDataset,
    image_size: int,
    batch_size: int = 64,
    epochs: int = 40,
    learning_rate: float = 1e-3,
    map_weight: float = 0.1,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: Verbose = "auto",
) -> CommonRationaleEncoder:
    """Trains a small encoder to embed a data set's images as a large one does.

    Both see the same two views of each image; see `Distill` for what is learnt. Adam's learning
    rate falls to 0 along a cosine. The teacher is left as it was.

    Args:
        teacher: a trained encoder.
        student: a backbone or its name, with random weights or trained ones.
        dataset: the training images; labels are not used.
        image_size: side of the views in pixels.
        batch_size: images a step, two views each.
        epochs: passes over the images.
        learning_rate: at its highest.
        map_weight: as for `Distill`.
        augmentation: of the views; None takes `Augmentation.crop_and_flip()`.
        seed: of weights, order and views.
        callbacks: as for `keras.Model.fit`.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.

    Returns:
        The student, whose `image_size` is that of the views.

    Raises:
        ValueError: as `Distill` and `two_views`.

    Example:

    >>> student = distill(teacher, "squeezenet", train, image_size=160)
    >>> student.save_to_preset("my_student")
    """
    epochs, seed = whole_number("epochs", epochs), whole_number("seed", seed, least=0)
    augmentation = augmentation or Augmentation.crop_and_flip()
    views = two_views(
        dataset, image_size, batch_size, augmentation, seed, epochs, whole_images=False
    ).map(lambda batch: tf.concat([batch["query"], batch["key"]], axis=0))
    steps = len(dataset) // batch_size
    with _as_it_was(teacher):
        distillation = Distill(teacher, student, map_weight, seed)
        rate = CosineDecay(positive_number("learning_rate", learning_rate), steps * epochs)
        distillation.compile(keras.optimizers.Adam(rate))
        with Progress("Training", steps * epochs, verbose=verbose) as progress:
            distillation.fit(
                views,
                epochs=epochs,
                steps_per_epoch=steps,
                shuffle=False,  # the views are drawn in their order
                callbacks=[*callbacks, ProgressBar(progress, epochs)],
                verbose=0,
            )
    distillation.encoder.image_size = (image_size, image_size)
    return distillation.encoder


def student_of(
    teacher: CommonRationaleEncoder, student: keras.Model | str, seed: int | None = None
) -> CommonRationaleEncoder:
    """An encoder whose embeddings are as long as the teacher's, with a branch of its own.

    Raises:
        ValueError: as `Distill`.
    """
    if not isinstance(teacher, CommonRationaleEncoder):
        raise ValueError(f"`teacher` must be a CommonRationaleEncoder. Received: {teacher!r}")
    length = _length(teacher)
    if isinstance(student, CommonRationaleEncoder):
        if _length(student) != length:
            raise ValueError(
                "`student` must be a backbone, or an encoder with embeddings as long as the "
                f"teacher's, {length}. Received: an encoder with {_length(student)}"
            )
        return student
    backbone = backbone_from_name(student, seed=seed) if isinstance(student, str) else student
    options: dict[str, Any] = {"num_detectors": teacher.num_detectors, "seed": seed}
    options["pooling"] = "average" if teacher.pooling == "average" else "rationale"
    encoder = CommonRationaleEncoder(backbone, **options)
    if encoder.channels == length:
        return encoder
    images = keras.Input(backbone.input_shape[1:], name="images")
    projection = keras.layers.Conv2D(
        length,
        1,
        data_format="channels_last",
        kernel_initializer=keras.initializers.GlorotUniform(seed),
        dtype=backbone.dtype_policy,
        name="projection",
    )
    projected = keras.Model(images, projection(backbone(images)), name=f"{backbone.name}_student")
    return CommonRationaleEncoder(projected, **options)


class _Seen(keras.Model):
    """An encoder that gives its embedding `(B, C)` and its map `(B, h, w)`, in training too."""

    def __init__(self, encoder: CommonRationaleEncoder, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.built = True

    def call(self, images, training=False):
        return self.encoder.embedding_and_map(images, training=training)


def _distance(taught, learnt):
    """One minus the cosine between embeddings of unit length."""
    return 1.0 - ops.sum(taught * learnt, axis=-1)


def _fit(taught, learnt):
    """How far the student's map is from the teacher's, brought to its size."""
    sides = ops.shape(learnt)[1:3]
    taught = ops.image.resize(taught[..., None], sides, antialias=True, data_format="channels_last")
    return RationaleFit()(taught[..., 0], learnt)


def _length(encoder: Any) -> int:
    return encoder.compute_output_shape((None, None, None, 3))[-1]


@contextlib.contextmanager
def _as_it_was(teacher: keras.Model) -> Iterator[None]:
    """Gives back the layers of a teacher what `trainable` they had."""
    trainable, changes = teacher.trainable, layer_changes(teacher)
    try:
        yield
    finally:
        set_trainable(teacher, trainable)
        change_layers(teacher, changes)
