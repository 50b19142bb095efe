"""What is minimised: self-supervised objectives, and the fit of the rationale branch."""

from keras_cr.losses.info_nce import info_nce, info_nce_logits
from keras_cr.losses.rationale_fit import RationaleFit

__all__ = ["RationaleFit", "info_nce", "info_nce_logits"]
