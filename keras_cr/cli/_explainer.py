"""An encoder's maps and detections, batch by batch."""

import keras
import numpy as np

from keras_cr._types import Images
from keras_cr.evaluation import Embedder


class Explainer(Embedder):
    """Runs `encoder.encode` compiled and returns what pictures are drawn from.

    Args:
        encoder: a `CommonRationaleEncoder`.
    """

    def call(self, images: Images, training: bool = False) -> dict:
        outputs = self.encoder.encode(images)
        names = ("rationale", "detections")
        return {name: keras.ops.cast(outputs[name], "float32") for name in names}

    def explain(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rationales (B, h, w), in 0..1, and detections (B, h, w, K) of a batch of images."""
        outputs = self.predict_on_batch(images)
        return outputs["rationale"], outputs["detections"]
