"""Builds the encoder and the pretrainer that settings describe."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras.optimizers.schedules import CosineDecay

from keras_cr.conversion.convert import convert_checkpoint
from keras_cr.data import FineGrainedDataset
from keras_cr.experiment.settings import Settings
from keras_cr.layers.batch_normalization import batch_normalizations
from keras_cr.models import CommonRationaleEncoder, backbone_from_name
from keras_cr.models.open_backbone import backbone_of_preset, is_preset, may_be_backbone
from keras_cr.optimizers import LARS, AdamW
from keras_cr.presets.hub import SCHEME
from keras_cr.pretraining import AUXILIARY, OBJECTIVES, Pretrainer, Rationale
from keras_cr.rationale.foregrounds import mask_batches
from keras_cr.rationale.options import check_frozen_options, sized_rationale
from keras_cr.rationale.posthoc import check_frozen
from keras_cr.rationale.start import at_output_stride, encoder_from, encoder_on, with_precision

CHECKPOINTS = (".pth", ".pt", ".pth.tar", ".ckpt", ".safetensors", ".npz")


def build_encoder(
    settings: Settings, build_backbone: Callable[[], keras.Model] | None = None
) -> CommonRationaleEncoder:
    """The encoder at the start of a run; a preset's branch, unless `num_detectors` is another.

    A preset keeps its pooling, unless that is an average and `auto` is more, or another is named.

    Args:
        settings: of the run.
        build_backbone: builds the backbone that `init="none"` starts from, in place of
            `settings.backbone`.

    Raises:
        ValueError: `init` names nothing that can be loaded, or a model that is no backbone, or one
            that can't have `output_stride`.
    """
    encoder = _encoder(settings, build_backbone)
    if settings.output_stride is not None:
        try:
            encoder = at_output_stride(encoder, settings.output_stride)
        except ValueError as error:
            told = str(error).rstrip(".")
            raise ValueError(f"{told}; `output_stride` none leaves it as it is.") from error
    if settings.pooling != "auto":
        encoder.pooling = settings.pooling
    return encoder


def _encoder(settings, build_backbone) -> CommonRationaleEncoder:
    init, detectors = settings.init, 32 if settings.rationale == "reference" else 1
    options = {
        "detectors": detectors,
        "pooling": settings.pooled_by,
        "image_size": settings.image_size,
        "seed": settings.seed,
        "dtype": settings.precision,
    }
    if init == "none" and build_backbone is not None:
        backbone = with_precision(build_backbone(), settings.precision)
    elif init in ("none", "imagenet"):
        weights = None if init == "none" else init
        backbone = backbone_from_name(
            settings.backbone, weights, seed=settings.seed, dtype=settings.precision
        )
    elif init.endswith(".keras"):
        model = keras.saving.load_model(init, compile=False)
        backbone = with_precision(model, settings.precision)
    elif init.endswith(CHECKPOINTS):
        converted = convert_checkpoint(init, image_size=settings.image_size).encoder
        has_branch = converted.pooling == "rationale"
        backbone = with_precision(
            converted if has_branch else converted.backbone, settings.precision
        )
    else:
        try:
            return encoder_from(init, settings.num_detectors, **options)  # type: ignore[arg-type]
        except (ValueError, ImportError):
            if (converted := _converted(init, settings.image_size)) is None:
                raise
            backbone = with_precision(converted, settings.precision)
    return encoder_on(backbone, settings.num_detectors, **options)  # type: ignore[arg-type]


def _converted(handle: str, image_size: int) -> keras.Model | None:
    """The backbone of a repository that holds a checkpoint KerasHub can't read, else None."""
    if not handle.startswith(SCHEME):
        return None
    try:
        return convert_checkpoint(handle, image_size=image_size).encoder.backbone
    except (ValueError, OSError):
        return None


def build_pretrainer(
    settings: Settings, encoder: CommonRationaleEncoder, train: FineGrainedDataset
) -> Pretrainer:
    """The compiled pretrainer of a run over training images.

    Raises:
        ValueError: the objective's options, or it and the rationale, can't be.
    """
    objective = OBJECTIVES[settings.objective]
    tasks = [
        AUXILIARY[name](weight=weight, seed=settings.seed, **_classes(AUXILIARY[name], train))
        for name, weight in (settings.auxiliary or {}).items()
    ]
    pretrainer = objective(
        encoder,
        rationale=build_rationale(settings, len(train)),
        backbone_lr_multiplier=backbone_lr_multiplier(settings, encoder.backbone),
        auxiliary=tasks,
        seed=settings.seed,
        dtype=settings.precision,
        **_classes(objective, train),
        **_objective_options(settings, len(train)),
    )
    pretrainer.compile(build_optimizer(settings, len(train)))
    return pretrainer


def _objective_options(settings: Settings, num_images: int) -> dict[str, Any]:
    """The objective's own arguments: those for few images, and over them what was set."""
    steps = settings.epochs * (num_images // settings.batch_size)
    options = OBJECTIVES[settings.objective].small_data(num_images, settings.batch_size, steps)
    return options | (settings.objective_options or {})


def decided(settings: Settings, encoder: CommonRationaleEncoder, num_images: int) -> dict[str, Any]:
    """What settings leave to data and backbone, as a run has it, by the settings' names.

    Args:
        settings: of the run.
        encoder: as it was built.
        num_images: that it is trained on.
    """
    values: dict[str, Any] = {
        "backbone": encoder.backbone.name,
        "num_detectors": encoder.branch.num_detectors,
        "pooling": encoder.pooling,
    }
    if (rationale := build_rationale(settings, num_images)) is not None:
        values["rationale_options"] = rationale.get_config()
    if settings.epochs:
        values |= {
            "backbone_lr_multiplier": backbone_lr_multiplier(settings, encoder.backbone),
            "objective_options": _objective_options(settings, num_images),
        }
    return values


def backbone_lr_multiplier(settings: Settings, backbone: keras.Model) -> float:
    """The backbone's share of the learning rate, as set or as `Settings` has it by default.

    Weights under batch normalisation don't change what comes out by their length, and the longer
    they are, as pretrained ones, the less a step of SGD turns them: a tenth of it leaves them all
    but where they were (docs/results/loop.md). Adam's and LARS' steps have a size of their own.
    """
    if settings.backbone_lr_multiplier is not None:
        return settings.backbone_lr_multiplier
    normalized = any(layer.trainable for layer in batch_normalizations(backbone))
    if settings.init == "none" or (settings.optimizer == "sgd" and normalized):
        return 1.0
    return 0.1


def check_images_suffice(settings: Settings, train: FineGrainedDataset) -> None:
    """Refuses settings that the training images of a run don't allow, before anything runs.

    Raises:
        ValueError: a batch is larger than the training set; or as `check_objective` and
            `build_rationale`.
    """
    if settings.epochs and settings.batch_size > len(train):
        raise ValueError(
            f"`batch_size` must be at most the number of training images, {len(train)} in "
            f"{train.name!r}. Received: {settings.batch_size}"
        )
    if settings.epochs:
        check_objective(settings, train)
    build_rationale(settings, len(train))


def check_objective(settings: Settings, train: FineGrainedDataset) -> None:
    """Refuses what an objective and its tasks can't learn, before anything runs.

    Raises:
        ValueError: there are no labels, or masks, and they need some, or the rationale is to
            explain a loss that images don't have, or to change views that there aren't.
    """
    rationale = build_rationale(settings, len(train))
    OBJECTIVES[settings.objective].check_rationale(rationale)
    if rationale and rationale.foregrounds:
        if rationale.foregrounds.cut == "mask":
            mask_batches(train, settings.image_size)
        objective = OBJECTIVES[settings.objective]
        options = _objective_options(settings, len(train))
        small = ("small",) if options.get("small_crops") else ()
        seen = (*objective.views, *objective.taught, *small)
        rationale.foregrounds.check_views(seen, settings.objective)
    if OBJECTIVES[settings.objective].labels:
        train.need_labels("objective", f"{settings.objective!r} can't be learnt from them")
    for name in settings.auxiliary or {}:
        if AUXILIARY[name].labels:
            train.need_labels("auxiliary", f"{name!r} can't be learnt from them")


def _classes(kind: type, train: FineGrainedDataset) -> dict[str, int]:
    """The argument of an objective or a task that learns from labels."""
    return {"num_classes": train.num_classes} if kind.labels else {}  # type: ignore[attr-defined]


def build_optimizer(settings: Settings, num_images: int) -> keras.Optimizer:
    """The optimizer of a run over so many training images, with its schedules.

    LARS goes without a limit on the gradients' norm, which its trust ratio takes out.
    """
    steps_per_epoch = num_images // settings.batch_size
    steps = max(settings.epochs * steps_per_epoch, 1)
    warmup = settings.warmup_epochs * steps_per_epoch
    rate = CosineDecay(
        0.0 if warmup else settings.learning_rate,
        steps - warmup,
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    decay = settings.weight_decay
    if settings.final_weight_decay is not None:
        decay = CosineDecay(decay, steps, alpha=settings.final_weight_decay / decay)
    if settings.optimizer == "lars":
        return LARS(rate, weight_decay=decay)
    options = {"weight_decay": decay, "global_clipnorm": 5.0}
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9, **options)
    if settings.final_weight_decay is None:  # as ever: with biases and normalisations
        return keras.optimizers.AdamW(rate, **options)
    return AdamW(rate, **options)


def build_rationale(settings: Settings, num_images: int) -> Rationale | None:
    """How the branch is trained, with a bank that the training images fill.

    Where it is fitted to whole images after training anyway, a step compares the views that it has
    seen, which costs no forward pass.

    Raises:
        ValueError: `rationale_options` ask for what `num_images`, or a branch that is fitted
            without epochs, can't give.
    """
    if settings.rationale == "off":
        return None
    options = settings.rationale_options or {}
    rationale = sized_rationale(num_images, options, settings.rationale, settings.objective)
    if settings.refits and not {"images", "mirror"} & options.keys():
        rationale = rationale.changed({"images": "views"})
    if settings.epochs == 0 and settings.rationale == "on":
        check_frozen(rationale)
        check_frozen_options(options)
    return rationale


def backbone_name(settings: Settings) -> str:
    """What the backbone is called in a preset's name."""
    init = settings.init
    if init.endswith(".keras"):
        return Path(init).stem
    if init.endswith(CHECKPOINTS):
        return Path(init).name.split(".")[0].lower()
    if init in ("none", "imagenet"):
        return settings.backbone
    if is_preset(init):
        return backbone_of_preset(init) or settings.backbone
    if not may_be_backbone(init):
        return settings.backbone
    return Path(init).name.partition("@")[0].lower()
