"""AdamW with a weight decay that may follow a schedule."""

import keras

from keras_cr.optimizers.weight_decay import ScheduledWeightDecay


@keras.saving.register_keras_serializable(package="keras_cr")
class AdamW(ScheduledWeightDecay, keras.optimizers.AdamW):
    """Keras' AdamW whose weight decay may be a schedule and spares biases and normalisations.

    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. DINO (Caron et al.,
    "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, section 3.2) lets the
    weight decay rise from 0.04 to 0.4 along a cosine, and leaves it out of variables of one
    dimension in its published code.

    Arguments are those of `keras.optimizers.AdamW`, but for `weight_decay`: a number, or a schedule
    of `keras.optimizers.schedules`.

    Raises:
        ValueError: `weight_decay` is neither, or below 0.

    Example:

    >>> rising = keras.optimizers.schedules.CosineDecay(0.04, steps, alpha=0.4 / 0.04)
    >>> AdamW(5e-4, weight_decay=rising)
    """
