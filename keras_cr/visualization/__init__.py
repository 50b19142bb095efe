"""Pictures of what an encoder weighs, detects and finds, and of how it was trained.

Each drawing function returns a `Picture`, an array that a notebook shows, and writes it to a file
if it is given a path; `overlay` returns one for each image.
"""

from keras_cr.visualization.curves import curves
from keras_cr.visualization.detectors import detector_grid
from keras_cr.visualization.gallery import retrieval_gallery
from keras_cr.visualization.grid import rationale_grid
from keras_cr.visualization.matches import match_sheet
from keras_cr.visualization.overlay import overlay
from keras_cr.visualization.picture import Picture, Pictures

__all__ = [
    "Picture",
    "Pictures",
    "curves",
    "detector_grid",
    "match_sheet",
    "overlay",
    "rationale_grid",
    "retrieval_gallery",
]
