"""Images in: reading, checking, and batches of them for training and evaluation."""

from keras_cr.data.augmentation import Augmentation
from keras_cr.data.cub import download_cub, read_cub
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.folder import read_image_folder
from keras_cr.data.images import (
    UnreadableImageError,
    check_images,
    foreground_batches,
    image_batches,
    load_image,
    read_images,
)
from keras_cr.data.synthetic_birds import synthetic_birds, write_cub_layout
from keras_cr.data.views import random_views, two_views

__all__ = [
    "Augmentation",
    "FineGrainedDataset",
    "UnreadableImageError",
    "check_images",
    "download_cub",
    "foreground_batches",
    "image_batches",
    "load_image",
    "random_views",
    "read_cub",
    "read_image_folder",
    "read_images",
    "synthetic_birds",
    "two_views",
    "write_cub_layout",
]
