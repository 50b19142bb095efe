"""The encoder: a backbone, the rationale branch, and pooling by the rationale."""

import keras
from keras import ops

from keras_cr._numbers import plain_seed, sides
from keras_cr.layers import RationaleBranch, RationalePooling
from keras_cr.models.backbones import backbone_from_name
from keras_cr.models.image_model import ImageModel
from keras_cr.models.inputs import in_colour
from keras_cr.models.map_size import MapSize

POOLINGS = ("rationale", "average", "concat")


@keras.saving.register_keras_serializable(package="keras_cr")
class CommonRationaleEncoder(ImageModel):
    """Turns images into embeddings that attend to what the data set's images have in common.

    Shu, van den Hengel, Liu, "Learning Common Rationale to Improve Self-Supervised Representation
    for Fine-Grained Visual Recognition Problems", CVPR 2023. The branch's map weights the average
    of the feature map. Each map is normalised on its own, so an image's embedding never depends on
    the other images of its batch.

    Args:
        backbone: a Keras model from RGB 0..255 to a 4-D feature map `(B, h, w, C)` (from
            `keras_cr.models`, keras.applications, keras_hub, keras_cv, or your own), or a name:
            `"resnet18"`, `"resnet34"`, `"resnet50"`, `"squeezenet"` (random weights).
        num_detectors: number of 1x1 detectors in the branch, `K` in the paper.
        pooling: `"rationale"`, `"average"`, or `"concat"` (both, one after the other).
        image_size: side of the images in pixels, or `(H, W)`. If given, the map's size is checked
            at once.
        seed: seed of the initial weights.
        **kwargs: as for `keras.Model`.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255, any numeric dtype; see `ImageModel`.

    Output shape:
        `(B, C)`, float32, unit length; `(B, 2 C)` for `"concat"`.

    Raises:
        ValueError: the backbone does not end in a 4-D feature map with known channels, the map has
            a single place at the given size, or an argument has an unknown value.

    Example:

    >>> encoder = CommonRationaleEncoder("resnet50")
    >>> embedding = encoder(images)
    >>> maps = encoder.encode(images)["rationale"]
    """

    inner_model = "backbone"

    def __init__(
        self,
        backbone: keras.Model | str,
        num_detectors: int = 32,
        pooling: str = "rationale",
        image_size: int | tuple[int, int] | None = None,
        seed: int | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        seed = plain_seed(seed)
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: pooling={pooling!r}")
        if isinstance(backbone, str):
            backbone = backbone_from_name(backbone, seed=seed, dtype=self.dtype_policy)
        self.image_size = None if image_size is None else sides("image_size", image_size)
        self._map_size = MapSize(backbone)
        map_shape = _feature_map_shape(self._map_size, self.image_size)
        self.backbone = backbone
        self.pooling = pooling
        self.seed = seed
        self.branch = RationaleBranch(
            num_detectors, seed=seed, dtype=self.dtype_policy, name="branch"
        )
        self.num_detectors = self.branch.num_detectors
        self.branch.build((None, None, None, map_shape[-1]))
        self.pool = RationalePooling(dtype=self.dtype_policy, name="pool")
        self.built = True

    @property
    def channels(self) -> int:
        """Number of channels of the feature map, `C`."""
        return self.branch.detectors.kernel.shape[-2]

    def feature_map(self, images, training=False):
        """The backbone's feature map of RGB 0..255 images, shape `(B, h, w, C)`.

        Raises:
            ValueError: the images are not 4-D, or their map has no place or a single one.
        """
        known = getattr(images.shape, "rank", 4) is not None  # of a tensor that is traced
        if not known or len(images.shape) != 4:
            raise ValueError(
                "Images must have shape (B, H, W, 3), RGB 0..255. Received shape: "
                f"{tuple(images.shape) if known else 'of unknown rank, see tf.ensure_shape'}"
            )
        self._map_size.check(*images.shape[1:3])
        images = self._map_size.guarded(in_colour(images))
        return self.backbone(ops.cast(images, self.compute_dtype), training=training)

    def encode(self, images) -> dict:
        """Everything the encoder sees in a batch of images, in inference mode.

        Args:
            images: RGB 0..255, shape `(B, H, W, 3)`; see `check_images` for what else is taken.

        Returns:
            A dict: `embedding` (as from calling the encoder), `average_embedding` `(B, C)` (plain
            average pooling, unit length), `rationale` `(B, h, w)` in 0..1, `detections`
            `(B, h, w, K)` (every detector's normalised response; it fires where that is positive)
            and `feature_map` `(B, h, w, C)`.
        """
        feature_map = self.feature_map(ops.convert_to_tensor(self.check_images(images)))
        detections = self.branch.scores(feature_map)
        rationale = self.branch.combine(detections)
        return {
            "embedding": self.embed(feature_map, rationale),
            "average_embedding": self.pool(feature_map),
            "rationale": rationale,
            "detections": detections,
            "feature_map": feature_map,
        }

    def embed(self, feature_map, rationale):
        """Pools a feature map into the embedding that `pooling` names, of unit length."""
        if self.pooling == "average":
            return self.pool(feature_map)
        if self.pooling == "rationale":
            return self.pool(feature_map, rationale)
        both = [self.pool(feature_map, rationale), self.pool(feature_map)]
        return ops.concatenate(both, axis=-1) / 2**0.5

    def call(self, images, training=False):
        feature_map = self.feature_map(images, training=training)
        return self.embed(feature_map, self.branch(feature_map, training=training))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.channels * (2 if self.pooling == "concat" else 1))

    def save_to_preset(self, folder, **details):
        """Writes the encoder as a preset folder; see `keras_cr.presets.save_preset`."""
        from keras_cr.presets import save_preset

        return save_preset(self, folder, **details)

    @classmethod
    def from_preset(
        cls,
        name: str,
        load_weights: bool = True,
        dtype=None,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | None = None,
        local_files_only: bool = False,
    ) -> "CommonRationaleEncoder":
        """Loads a pretrained encoder; see `keras_cr.presets.load_preset`.

        Args:
            name: a preset's name (`"cub_resnet50"`), a folder, or `"hf://org/name[@revision]"`.
            load_weights: False gives the architecture with fresh weights.
            dtype: dtype policy to load under; None keeps the one it was saved with.
            revision: branch, tag or commit on the Hub.
            token: access token of the Hub.
            cache_dir: where the Hub's files are kept.
            local_files_only: use what is on this machine and ask no server.
        """
        from keras_cr.presets import load_preset

        return load_preset(
            name,
            expected=cls,
            load_weights=load_weights,
            dtype=dtype,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )

    def get_config(self):
        return super().get_config() | {
            "num_detectors": self.num_detectors,
            "pooling": self.pooling,
            "image_size": self.image_size,
            "seed": self.seed,
        }


def _feature_map_shape(map_size, image_size):
    """The backbone's output shape; refuses what can't carry a rationale."""
    backbone = map_size.backbone
    if not isinstance(backbone, keras.Model):
        raise ValueError(f"`backbone` must be a Keras model or a name. Received: {backbone!r}")
    _check_channels_last(backbone)
    if image_size is not None:
        map_size.check(*image_size)
    try:
        shape = backbone.output_shape
    except (AttributeError, ValueError):  # a subclassed model
        shape = None
    if image_size is not None or shape is None:
        height, width = image_size or (224, 224)
        outputs = backbone(keras.Input(batch_shape=(1, height, width, 3)))
        shape = getattr(outputs, "shape", outputs)
    if not isinstance(shape, tuple) or len(shape) != 4:
        raise ValueError(
            "`backbone` must end in one 4-D feature map (B, h, w, C): leave out its classifier "
            "and pooling (include_top=False, pooling=None). "
            f"Received a model {backbone.name!r} with output shape {shape}"
        )
    if shape[-1] is None:
        raise ValueError(
            f"`backbone` must end in a known number of channels. Received output shape {shape}"
        )
    if image_size is None and shape[1:3] == (1, 1):
        map_size.check(*backbone.input_shape[1:3])
    return shape


def _check_channels_last(backbone):
    """Refuses a backbone of images `(3, H, W)`, as Keras builds them under "channels_first"."""
    try:
        shape = backbone.input_shape
    except (AttributeError, ValueError):  # a subclassed model
        return
    if isinstance(shape, tuple) and len(shape) == 4 and shape[1] == 3 and shape[-1] != 3:
        raise ValueError(
            "`backbone` must take images (H, W, 3): build it after "
            "keras.config.set_image_data_format('channels_last'). "
            f"Received a model {backbone.name!r} with input shape {shape}"
        )
