"""The encoder: a backbone, the rationale branch, and pooling by the rationale."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cr._numbers import plain_seed, sides
from keras_cr._types import Config, Dtype, Images, Shape, StrPath, Tensor
from keras_cr.layers import RationaleBranch, RationalePooling, VLADPooling
from keras_cr.models.adapt import adapt_backbone, check_class_token
from keras_cr.models.backbones import backbone_from_name
from keras_cr.models.families import licence_of
from keras_cr.models.image_model import ImageModel
from keras_cr.models.inputs import in_colour
from keras_cr.models.map_shape import feature_map_shape
from keras_cr.models.map_size import MapSize
from keras_cr.models.open_backbone import Opened, open_backbone
from keras_cr.presets.backbone_source import BackboneSource

POOLINGS = ("rationale", "average", "concat", "rationale_max", "rationale_vlad")


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
            `"resnet18"`, `"resnet34"`, `"resnet50"`, `"squeezenet"`.
        num_detectors: number of 1x1 detectors in the branch, `K` in the paper, which has 32.
        pooling: `"rationale"`, the average weighted by the rationale; `"average"`, the plain one;
            `"concat"`, both, one after the other; `"rationale_max"`, behind the rationale's average
            the maximum of each channel over all places, each of unit length (Wei et al.,
            "Selective Convolutional Descriptor Aggregation", IEEE TIP 2017); or
            `"rationale_vlad"`, how the places that the rationale marks differ from a vocabulary of
            them, see `keras_cr.layers.VLADPooling`, which `fit_rationale` fits with the branch.
            Also an attribute that can be set (docs/rationale.md says what is best for what).
        pooling_options: arguments of `VLADPooling` that differ from its defaults.
        image_size: side of the images in pixels, or `(H, W)`. If given, the map's size is checked
            at once.
        concat_class_token: whether the backbone's class token joins the embedding: behind what is
            pooled, both of unit length, and of unit length together. The backbone must have one,
            see `keras_cr.models.adapt_backbone`. Pretraining and the rationale see the map alone.
        seed: seed of the initial weights.
        weights: of a backbone by name: `"imagenet"`, see `backbone_from_name`, or None for random
            ones.
        backbone_source: where the backbone's weights come from, as `load_backbone` returns it
            beside the model; also an attribute. `save_to_preset(..., backbone="reference")` needs
            it, and compares the weights with it.
        **kwargs: as for `keras.Model`.

    Input shape:
        `(B, H, W, 3)`, RGB 0..255, any numeric dtype; see `ImageModel`.

    Output shape:
        `(B, C)`, float32, unit length; `(B, 2 C)` for `"concat"` and `"rationale_max"`, `(B, 256)`
        for `"rationale_vlad"`; with a class token its channels more.

    Raises:
        ValueError: the backbone does not end in a 4-D feature map with known channels, the map has
            a single place at the given size, there is no class token to join, `weights` are for a
            model, or an argument has an unknown value.
        OSError: `weights` can't be downloaded.

    Example:

    >>> encoder = CommonRationaleEncoder("resnet50", weights="imagenet")
    >>> embedding = encoder(images)
    >>> maps = encoder.encode(images)["rationale"]
    """

    inner_model = "backbone"

    def __init__(
        self,
        backbone: keras.Model | str,
        num_detectors: int = 1,
        pooling: str = "rationale",
        image_size: int | tuple[int, int] | None = None,
        seed: int | None = None,
        backbone_source: BackboneSource | Mapping | None = None,
        concat_class_token: bool = False,
        weights: str | None = None,
        pooling_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backbone_source = BackboneSource.of(backbone_source)
        seed = plain_seed(seed)
        _check_pooling(pooling)
        if isinstance(backbone, str):
            backbone = backbone_from_name(backbone, weights, seed=seed, dtype=self.dtype_policy)
        elif weights is not None:
            raise ValueError(
                "`weights` is for a backbone by name, and a model has its own. Received: "
                f"weights={weights!r}"
            )
        self.image_size = None if image_size is None else sides("image_size", image_size)
        self._map_size = MapSize(backbone)
        map_shape = feature_map_shape(self._map_size, self.image_size)
        if concat_class_token:
            check_class_token(backbone)
        self.backbone = backbone
        self.concat_class_token = bool(concat_class_token)
        self.seed = seed
        self.branch = RationaleBranch(
            num_detectors, seed=seed, dtype=self.dtype_policy, name="branch"
        )
        self.num_detectors = self.branch.num_detectors
        self.branch.build((None, None, None, map_shape[-1]))
        self.pool = RationalePooling(dtype=self.dtype_policy, name="pool")
        self.vocabulary: VLADPooling | None = None
        if pooling_options is not None or pooling == "rationale_vlad":
            self._add_vocabulary(dict(pooling_options or {}))
        self.pooling = pooling
        self.built = True

    @property
    def pooling(self) -> str:
        """How feature maps become embeddings, one of `POOLINGS`.

        Set to `"rationale_vlad"`, an encoder without a vocabulary gets one, which is still to be
        fitted (`keras_cr.rationale.fit_vocabulary`). An embedder or a classifier that was made
        before may have been compiled with the pooling it had.

        Raises:
            ValueError: there is no such pooling.
        """
        return self._pooling

    @pooling.setter
    def pooling(self, pooling: str) -> None:
        _check_pooling(pooling)
        if pooling == "rationale_vlad" and self.vocabulary is None:
            self._add_vocabulary({})
        self._pooling = pooling

    def _add_vocabulary(self, options: dict[str, Any]) -> None:
        if unknown := sorted(options.keys() - set(VLADPooling.CHOICES)):
            raise ValueError(
                f"`pooling_options` may hold {', '.join(VLADPooling.CHOICES)}. Received: {unknown}"
            )
        options = {"seed": self.seed} | options
        layer = VLADPooling(**options, dtype=self.dtype_policy, name="vocabulary")
        layer.build((None, None, None, self.channels))
        self.vocabulary = layer

    @property
    def channels(self) -> int:
        """Number of channels of the feature map, `C`."""
        return self.branch.detectors.kernel.shape[-2]

    @property
    def backbone_licence(self) -> str | None:
        """The licence of the weights that the backbone started from, where it is known."""
        return getattr(self.backbone_source, "licence", None) or licence_of(self.backbone)

    def feature_map(self, images: Images, training: bool = False) -> Tensor:
        """The backbone's feature map of RGB 0..255 images, shape `(B, h, w, C)`.

        Raises:
            ValueError: the images are not 4-D, or their map has no place or a single one.
        """
        return self.backbone(self._prepared(images), training=training)

    def _map_and_token(self, images, training=False) -> tuple:
        """The feature map, and the class token `(B, C)` where it joins the embedding, or None."""
        if not self.concat_class_token:
            return self.feature_map(images, training=training), None
        return self.backbone.map_and_class_token(self._prepared(images), training=training)

    def _prepared(self, images):
        """Images of a size that the backbone takes, in the compute dtype."""
        known = getattr(images.shape, "rank", 4) is not None  # of a tensor that is traced
        if not known or len(images.shape) != 4:
            raise ValueError(
                "Images must have shape (B, H, W, 3), RGB 0..255. Received shape: "
                f"{tuple(images.shape) if known else 'of unknown rank, see tf.ensure_shape'}"
            )
        self._map_size.check(*images.shape[1:3])
        images = self._map_size.guarded(in_colour(images))
        return ops.cast(images, self.compute_dtype)

    def encode(self, images: Images) -> dict[str, Tensor]:
        """Everything the encoder sees in a batch of images, in inference mode.

        Args:
            images: RGB 0..255, shape `(B, H, W, 3)`; see `check_images` for what else is taken.

        Returns:
            A dict: `embedding` (as from calling the encoder), `average_embedding` `(B, C)` (plain
            average pooling, unit length, joined by the class token where the embedding is),
            `rationale` `(B, h, w)` in 0..1, `detections`
            `(B, h, w, K)` (every detector's normalised response; it fires where that is positive)
            and `feature_map` `(B, h, w, C)`.
        """
        images = ops.convert_to_tensor(self.check_images(images))
        feature_map, class_token = self._map_and_token(images)
        detections = self.branch.scores(feature_map)
        rationale = self.branch.combine(detections)
        return {
            "embedding": self.embed(feature_map, rationale, class_token),
            "average_embedding": _joined(self.pool(feature_map), class_token),
            "rationale": rationale,
            "detections": detections,
            "feature_map": feature_map,
        }

    def embed(
        self, feature_map: Tensor, rationale: Tensor, class_token: Tensor | None = None
    ) -> Tensor:
        """Pools a feature map into the embedding that `pooling` names, of unit length.

        Args:
            feature_map: `(B, h, w, C)`.
            rationale: `(B, h, w)`.
            class_token: `(B, C)`, what joins it, or None.
        """
        if self.pooling == "rationale_vlad":
            return _joined(self.vocabulary(feature_map, rationale), class_token)  # type: ignore[misc]
        pooled = self.pool(feature_map, None if self.pooling == "average" else rationale)
        beside = {"concat": self.pool, "rationale_max": _largest}.get(self.pooling)
        if beside is not None:
            pooled = ops.concatenate([pooled, beside(feature_map)], axis=-1) / 2**0.5
        return _joined(pooled, class_token)

    def embedding_and_map(self, images: Images, training: bool = False) -> dict[str, Tensor]:
        """The `embedding` `(B, C)` and the `map` `(B, h, w)`, the rationale, in training too."""
        feature_map, class_token = self._map_and_token(images, training=training)
        rationale = self.branch(feature_map, training=training)
        return {"embedding": self.embed(feature_map, rationale, class_token), "map": rationale}

    def call(self, images: Images, training: bool = False) -> Tensor:
        return self.embedding_and_map(images, training=training)["embedding"]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        channels = self.channels * (2 if self.pooling in ("concat", "rationale_max") else 1)
        if self.pooling == "rationale_vlad":
            channels = self.vocabulary.dimensions  # type: ignore[union-attr]
        channels += self.backbone.class_token_size if self.concat_class_token else 0
        return (input_shape[0], channels)

    def save_to_preset(self, folder: StrPath, **details: Any) -> pathlib.Path:
        """Writes the encoder as a preset folder; see `keras_cr.presets.save_preset`."""
        from keras_cr.presets import save_preset

        return save_preset(self, folder, **details)

    @classmethod
    def from_backbone(
        cls,
        model: keras.Model | str | os.PathLike,
        image_size: int | tuple[int, int] | None = None,
        concat_class_token: bool = False,
        level: str | None = None,
        normalization: Any = "auto",
        output_stride: int | None = None,
        load_weights: bool = True,
        dtype: Any = None,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | None = None,
        local_files_only: bool = False,
        **kwargs: Any,
    ) -> "CommonRationaleEncoder":
        """Makes an encoder of another package's backbone, whose branch is still to be fitted.

        Args:
            model: a Keras model as `keras_cr.models.adapt_backbone` takes it; what
                `keras_cr.models.load_backbone` loads, whose source the encoder keeps: a folder
                that KerasHub saved, `"hf://org/name"`, a `.keras` file, a preset of this package;
                or a preset of KerasHub by name (`"dinov2_small"`).
            image_size: side of the images in pixels, or `(H, W)`. None takes what the backbone was
                built for.
            concat_class_token: as for the encoder.
            level, normalization, output_stride: as for `adapt_backbone`.
            load_weights: False gives fresh weights; for what is loaded by name.
            dtype: dtype policy of the encoder, and of a backbone that is loaded by name.
            revision, token, cache_dir, local_files_only: as for `load_backbone`.
            **kwargs: as for the encoder: `num_detectors`, `pooling`, `pooling_options`, `seed`.

        Raises:
            ValueError, ImportError: as `adapt_backbone` and `load_backbone`.

        Example:

        >>> encoder = CommonRationaleEncoder.from_backbone("dinov2_small", image_size=224)
        >>> fit_rationale(encoder, image_batches(train, 224, 64))
        """
        if isinstance(model, keras.Model):
            opened = Opened(model)
        else:
            size = None if image_size is None else sides("image_size", image_size)
            places: dict[str, Any] = {"revision": revision, "token": token, "cache_dir": cache_dir}
            places["local_files_only"] = local_files_only
            opened = open_backbone(model, size, load_weights, dtype, **places)
        normalization = opened.normalization if normalization == "auto" else normalization
        backbone = adapt_backbone(
            opened.model, image_size, concat_class_token, level, normalization, output_stride
        )
        if image_size is None:
            image_size = MapSize(backbone).fixed
        return cls(
            backbone,
            image_size=image_size,
            concat_class_token=concat_class_token,
            dtype=dtype,
            backbone_source=opened.source,
            **kwargs,
        )

    @classmethod
    def from_preset(
        cls,
        name: str,
        load_weights: bool = True,
        dtype: Dtype = None,
        revision: str | None = None,
        token: str | None = None,
        cache_dir: str | None = None,
        local_files_only: bool = False,
        backbone: StrPath | keras.Model | None = None,
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
            backbone: for a preset without a backbone, a place of its files, or the model.
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
            backbone=backbone,
        )

    def get_config(self) -> Config:
        source = self.backbone_source
        return super().get_config() | {
            "num_detectors": self.num_detectors,
            "pooling": self.pooling,
            "image_size": self.image_size,
            "seed": self.seed,
            **({"backbone_source": source.as_dict()} if source else {}),
            "concat_class_token": self.concat_class_token,
            **({"pooling_options": self.vocabulary.choices()} if self.vocabulary else {}),
        }


def _check_pooling(pooling: Any) -> None:
    if pooling not in POOLINGS:
        raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: pooling={pooling!r}")


def _largest(feature_map):
    """`(B, C)`: the largest value of each channel over the places, of unit length."""
    dtype = keras.backend.result_type(feature_map.dtype, "float32")
    largest = ops.max(ops.cast(feature_map, dtype), axis=(1, 2))
    return ops.normalize(largest, axis=-1, epsilon=1e-12)


def _joined(embedding, class_token):
    """An embedding and a class token behind it, both of unit length, scaled to unit length."""
    if class_token is None:
        return embedding
    token = ops.normalize(ops.cast(class_token, embedding.dtype), axis=-1, epsilon=1e-12)
    return ops.concatenate([embedding, token], axis=-1) / 2**0.5
