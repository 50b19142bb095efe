"""A model out of a preset's files: of every entry of both, and never larger than its weights."""

from typing import Any

import keras

from keras_cr.presets.backbone_weights import backbone_of
from keras_cr.presets.bounded import Limits, build
from keras_cr.presets.config import serialize, with_dtype
from keras_cr.presets.errors import IncompatiblePresetError, cause
from keras_cr.presets.finite import check_finite
from keras_cr.presets.manifest import CONFIG, HALF, WEIGHTS, Located, weights_files
from keras_cr.presets.pinned_backbone import PinnedBackbone
from keras_cr.presets.plain import plain
from keras_cr.presets.round_trip import first_unread
from keras_cr.presets.shards import joined, merged, read_layouts
from keras_cr.presets.weights import Layout, check_layout
from keras_cr.version import __version__


def build_model(
    config: dict[str, Any],
    manifest: dict[str, Any],
    preset: Located,
    load_weights: bool = True,
    dtype: keras.DTypePolicy | None = None,
    backbone: PinnedBackbone | None = None,
) -> keras.Model:
    """Builds a model and loads its weights, if every entry of both files is read.

    Args:
        config: the content of config.json; its classes have been checked.
        manifest: the content of preset.json.
        preset: the folder, whose files have been verified.
        load_weights: False leaves the model with fresh weights.
        dtype: another policy than the one in the config.
        backbone: what the weights file leaves out, if anything.

    Returns:
        The model, built and not compiled.

    Raises:
        IncompatiblePresetError: no model can be built, it would be larger than the weights, or an
            entry of one of the files is not read.
        BackboneError: the backbone has other numbers than the preset pins.
        PresetError: the weights leave the range of `dtype`.
    """

    versions = manifest.get("keras_cr"), manifest.get("keras")
    here = __version__, keras.__version__

    def refused(told: str, error: Exception) -> IncompatiblePresetError:
        way_out = preset.remedy
        if versions != here:
            way_out = (
                f"it was saved by keras_cr {versions[0]} with Keras {versions[1]}, this is "
                f"keras_cr {here[0]} with Keras {here[1]}"
            )
        return IncompatiblePresetError(f"{preset.label}: {told} ({cause(error)}); {way_out}.")

    misfit = f"{WEIGHTS} does not fit the model in {CONFIG}"
    files = [preset.folder / name for name in weights_files(manifest["files"])]
    try:
        layouts = read_layouts(files) if load_weights else []
        layout = merged(layouts) if load_weights else None
    except ValueError as error:
        raise refused(misfit, error) from error

    given = config if dtype is None else with_dtype(config, dtype)
    same_keras = versions[1] == here[1]

    def check(model: keras.Model) -> None:
        built = plain(serialize(model), CONFIG)
        unread = first_unread(given, built, same_keras=same_keras, same_dtype=dtype is None)
        if unread:
            raise ValueError(unread)

    try:
        model = build(given, _limits(layout, manifest, backbone), check)
    except Exception as error:  # a constructor of any class, with any arguments
        raise refused(f"no model can be built from {CONFIG}", error) from error
    if layout is not None:
        try:
            elsewhere = [] if backbone is None else backbone_of(model)._flatten_layers()
            half = manifest.get("weights_dtype") == HALF
            check_layout(model, layout, dtype is not None, elsewhere, half)
            with joined(files, layouts) as weights:
                model.load_weights(weights, objects_to_skip=elsewhere or None)
        except Exception as error:  # what a layer's own way of loading may raise
            raise refused(misfit, error) from error
        if backbone is not None:
            backbone.fill(model, same_dtype=dtype is None)
        if dtype is not None:  # the file's own numbers are finite
            label = f"{preset.label}: under dtype {dtype.name!r}"
            check_finite(model, label, "load it in a wider dtype")
    return model


def _limits(
    layout: Layout | None, manifest: dict[str, Any], backbone: PinnedBackbone | None
) -> Limits:
    """How large the model may get: by its weights, or else by what preset.json says."""
    if layout is not None and backbone is None:
        return Limits.of(layout.variables, layout.numbers)
    numbers = manifest.get("parameters", 10**9)
    if layout is not None:  # a number takes at least a byte
        numbers = min(numbers, layout.numbers + backbone.source.size)
    return Limits.of(min(numbers, 2500), numbers)
