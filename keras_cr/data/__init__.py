"""Images in: reading, checking, and batches of them for training and evaluation."""

from keras_cr.data.aircraft import download_aircraft, read_aircraft
from keras_cr.data.augmentation import Augmentation
from keras_cr.data.backgrounds import BackgroundSwap
from keras_cr.data.cars import read_cars
from keras_cr.data.cub import download_cub, read_cub
from keras_cr.data.dataset import FineGrainedDataset
from keras_cr.data.decode import load_image
from keras_cr.data.folder import read_image_folder
from keras_cr.data.foreground import foreground, foreground_batches
from keras_cr.data.images import (
    UnreadableImageError,
    check_images,
    image_batches,
    read_images,
)
from keras_cr.data.object_crops import ObjectCrops
from keras_cr.data.report import Finding, Report
from keras_cr.data.synthetic import bent_cut_outs, synthetic_birds, write_cub_layout
from keras_cr.data.verify import verify
from keras_cr.data.views import random_views, two_views

__all__ = [
    "Augmentation",
    "BackgroundSwap",
    "Finding",
    "FineGrainedDataset",
    "ObjectCrops",
    "Report",
    "UnreadableImageError",
    "bent_cut_outs",
    "check_images",
    "download_aircraft",
    "download_cub",
    "foreground",
    "foreground_batches",
    "image_batches",
    "load_image",
    "random_views",
    "read_aircraft",
    "read_cars",
    "read_cub",
    "read_image_folder",
    "read_images",
    "synthetic_birds",
    "two_views",
    "verify",
    "write_cub_layout",
]
