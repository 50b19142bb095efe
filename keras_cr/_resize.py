"""Resizing of images and maps whose channels are last, whatever Keras' `image_data_format`."""

import functools

from keras import ops

resize = functools.partial(ops.image.resize, data_format="channels_last")
