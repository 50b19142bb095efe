"""Images that are drawn or put together here, with known classes, parts and masks."""

from keras_cr.data.synthetic.birds import synthetic_birds, write_cub_layout
from keras_cr.data.synthetic.cut_outs import bent_cut_outs

__all__ = ["bent_cut_outs", "synthetic_birds", "write_cub_layout"]
