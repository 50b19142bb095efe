"""An encoder's feature maps of many images."""

import keras


class FeatureMaps(keras.Model):
    """Runs `encoder.feature_map` compiled, for `predict_on_batch`.

    Args:
        encoder: a `CommonRationaleEncoder`.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255.

    Output shape:
        `(B, h, w, C)`, of the encoder's compute dtype.
    """

    def __init__(self, encoder: keras.Model):
        super().__init__(name="feature_maps")
        self.encoder = encoder
        self.built = True
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False  # XLA on CPU: seconds of compilation, no speed

    def call(self, images, training=False):
        return self.encoder.feature_map(images)
