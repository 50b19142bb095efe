"""A page to explore an index: drop an image, see its map and what is like it, search by a place."""

from keras_cr.explore.app import create_app
from keras_cr.explore.explorer import Explorer
from keras_cr.explore.serve import serve

__all__ = ["Explorer", "create_app", "serve"]
