"""Building blocks on keras.ops; they run on every Keras backend."""

from keras_cr.layers.batch_normalization import UnbiasedBatchNormalization
from keras_cr.layers.channel_rescaling import ChannelRescaling
from keras_cr.layers.feature_queue import FeatureQueue
from keras_cr.layers.layer_scale import LayerScale
from keras_cr.layers.min_max import min_max_normalize
from keras_cr.layers.projection_head import ProjectionHead
from keras_cr.layers.rationale_branch import RationaleBranch
from keras_cr.layers.rationale_pooling import RationalePooling
from keras_cr.layers.response_normalization import GlobalResponseNormalization
from keras_cr.layers.standardization import EmbeddingStandardization
from keras_cr.layers.tokens import PatchPositions, PrefixTokens
from keras_cr.layers.tokens_to_map import TokensToMap
from keras_cr.layers.vlad_pooling import VLADPooling

__all__ = [
    "ChannelRescaling",
    "EmbeddingStandardization",
    "FeatureQueue",
    "GlobalResponseNormalization",
    "LayerScale",
    "PatchPositions",
    "PrefixTokens",
    "ProjectionHead",
    "RationaleBranch",
    "RationalePooling",
    "TokensToMap",
    "UnbiasedBatchNormalization",
    "VLADPooling",
    "min_max_normalize",
]
