"""What runs under one of Keras' backends alone."""

import keras


def require_tensorflow(what: str, error: type[Exception] = RuntimeError) -> None:
    """Raises `error` under another backend.

    Args:
        what: the subject of the message and its verb.
    """
    if keras.backend.backend() != "tensorflow":
        raise error(
            f"{what} Keras' TensorFlow backend. Running: {keras.backend.backend()}. Set "
            "KERAS_BACKEND=tensorflow before importing keras; encoders, fit_rationale (in "
            "keras_cr.rationale), evaluation and presets work under JAX and PyTorch too."
        )
