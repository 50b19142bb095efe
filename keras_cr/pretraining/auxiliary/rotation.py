"""Rotation: by how many quarter turns has an image been turned?"""

import keras
from keras import ops

from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.outcome import Outcome


@keras.saving.register_keras_serializable(package="keras_cr")
class Rotation(AuxiliaryTask):
    """Four-way classification of each view turned by 0, 90, 180 or 270 degrees.

    Gidaris et al., "Unsupervised Representation Learning by Predicting Image Rotations", ICLR 2018:
    a batch holds all four turns of every image. Beside a supervised loss, Maaz et al.,
    "Self-Supervised Learning for Fine-Grained Visual Categorization", 2021, weigh it .1 to .9.

    Args:
        weight: factor of the loss beside the objective's.
        seed: of the head's weights.
        **kwargs: as for `AuxiliaryTask`.
    """

    logged = ("accuracy",)

    def build(self, channels):
        initializer = keras.initializers.GlorotUniform(self.seed)
        self.head = keras.layers.Dense(4, kernel_initializer=initializer, dtype="float32")
        self.head.build((None, channels))
        self.built = True

    def objective(self, look, student, batch):
        views = batch["query"]
        turned = ops.concatenate([ops.rot90(views, turns, axes=(1, 2)) for turns in range(4)])
        logits = self.head(ops.mean(look(turned), axis=(1, 2)))
        turns = ops.repeat(ops.arange(4), ops.shape(views)[0])
        loss = keras.losses.sparse_categorical_crossentropy(turns, logits, from_logits=True)
        found = ops.cast(ops.argmax(logits, axis=-1) == turns, "float32")
        return Outcome(ops.mean(loss), {"accuracy": ops.mean(found)})
