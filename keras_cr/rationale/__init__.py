"""The common rationale: what images of a kind share, from the gradient of a loss to a branch's map.

`choices` and `positives` say how, `neighbours` finds the positives, `explain` goes from a loss to
GradCAM to a target, `branch_fit` fits a branch to targets, `posthoc` does all of it for a frozen
encoder, whose maps `frozen_maps` holds, `vocabulary` finds the visual words that its pooling
describes images by, `doubt` says whether maps are to be relied on, `self_training` learns them
anew, refined by `colours`, and `foregrounds` cuts out what they show, for the views.
"""

from keras_cr.rationale.choices import Rationale
from keras_cr.rationale.foregrounds import Foregrounds, foreground_maps
from keras_cr.rationale.positives import Neighbours, Views
from keras_cr.rationale.posthoc import fit_rationale
from keras_cr.rationale.vocabulary import fit_vocabulary

__all__ = [
    "Foregrounds",
    "Neighbours",
    "Rationale",
    "Views",
    "fit_rationale",
    "fit_vocabulary",
    "foreground_maps",
]
