"""A run: read, check, evaluate, pretrain, evaluate again, store."""

import dataclasses
import datetime
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import keras

from keras_cr.data import Augmentation, FineGrainedDataset, check_images, two_views
from keras_cr.evaluation import evaluate, format_table
from keras_cr.experiment.build import (
    backbone_name,
    build_encoder,
    build_pretrainer,
    with_precision,
)
from keras_cr.experiment.callbacks import Checkpoint, ProgressBar, state_path
from keras_cr.experiment.outputs import write_json, write_pictures
from keras_cr.experiment.settings import Settings, parse_settings
from keras_cr.models import CommonRationaleEncoder
from keras_cr.presets import store_path
from keras_cr.version import __version__

CHECKPOINT_RULE = "the last epoch, fixed before training"
Reader = Callable[[str | None], FineGrainedDataset]


@dataclasses.dataclass
class Run:
    """A run that can start: everything a user could have got wrong has been checked.

    Made by `Run.prepare`, carried out by `run.execute()`.
    """

    settings: Settings
    dataset: FineGrainedDataset
    skipped: list[str]
    encoder: CommonRationaleEncoder
    name: str
    output: Path
    augmentation: Augmentation | None = None

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        read: Reader,
        build_backbone: Callable[[], keras.Model] | None = None,
        augmentation: Augmentation | None = None,
    ) -> "Run":
        """Reads the images, checks them, builds the encoder and opens the output folder.

        Args:
            settings: of the run.
            read: takes `settings.data_dir` and returns the data set.
            build_backbone: makes a backbone of the caller's own, in place of `settings.backbone`.
            augmentation: of the views; None takes `Augmentation.moco_v2()`.

        Raises:
            ValueError: `output` holds another run, or can't be resumed with these settings; a
                batch is larger than the training set; `init` can't be loaded.
            UnreadableImageError: an image can't be read and `skip_bad` is off.
            OSError: the data or the initial weights are not there.
        """
        keras.utils.set_random_seed(settings.seed)
        name = settings.preset_name or f"{settings.dataset}_{backbone_name(settings)}"
        store_path(name)  # a name that can't be stored is refused before anything else
        dataset, skipped = check_images(read(settings.data_dir), skip_bad=settings.skip_bad)
        if settings.epochs and settings.batch_size > (images := int(dataset.is_train.sum())):
            raise ValueError(
                f"--batch-size must be at most the number of training images, {images} in "
                f"{dataset.name!r}. Received: {settings.batch_size}"
            )
        encoder = build_encoder(settings, build_backbone)
        output = _open_output(settings, name)
        return cls(settings, dataset, skipped, encoder, name, output, augmentation)

    def execute(self) -> dict:
        """Evaluates, pretrains, evaluates again and stores.

        The folder `output` gets `history.csv`, `metrics.json`, `rationales.png`, `report.html`,
        `preset/` and `checkpoints/` beside the `config.json` that is there; the local store gets
        the preset under its name.

        Returns:
            What metrics.json holds.
        """
        settings, dataset, output = self.settings, self.dataset, self.output
        if self.skipped:
            print(f"Skipped {len(self.skipped)} unreadable images: {', '.join(self.skipped[:3])}")
        train = dataset.split("train")
        print(f"{dataset.name}: {len(train)} training images, {len(dataset) - len(train)} others")
        before = self._evaluate(self.encoder)
        encoder = self._train(train)
        after = self._evaluate(encoder)
        metrics = after | {"initialization": before}
        write_json(output / "metrics.json", metrics)

        encoder = with_precision(encoder, "float32")
        details = {"name": self.name, "source": _source(settings), "metrics": metrics}
        for folder in (output / "preset", store_path(self.name)):
            encoder.save_to_preset(folder, **details)
        write_pictures(output, encoder, dataset, settings, metrics)
        print(format_table({"initialization": before, "trained": after}))
        print(f"Wrote {output}. Load the encoder with from_preset({self.name!r}).")
        return metrics

    def _evaluate(self, encoder: CommonRationaleEncoder) -> dict:
        metrics = evaluate(
            encoder,
            self.dataset,
            self.settings.image_size,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            checkpoint_rule=CHECKPOINT_RULE,
        )
        metrics["protocol"]["skipped_images"] = len(self.skipped)
        return metrics

    def _train(self, train: FineGrainedDataset) -> CommonRationaleEncoder:
        settings = self.settings
        if settings.epochs == 0:
            return self.encoder
        steps = len(train) // settings.batch_size
        if settings.resume and state_path(self.output).is_file():
            pretrainer = keras.saving.load_model(state_path(self.output))
            first_epoch = int(pretrainer.optimizer.iterations) // steps
        else:
            pretrainer, first_epoch = build_pretrainer(settings, self.encoder, len(train)), 0
        if first_epoch < settings.epochs:
            views = two_views(
                train,
                settings.image_size,
                settings.batch_size,
                augmentation=self.augmentation,
                seed=settings.seed,
                epochs=settings.epochs - first_epoch,
                first_epoch=first_epoch,
            )
            pretrainer.fit(
                views,
                epochs=settings.epochs,
                initial_epoch=first_epoch,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=0,
                callbacks=[
                    ProgressBar(settings.epochs, steps, first_epoch),
                    Checkpoint(self.output),
                ],
            )
        return pretrainer.encoder


def run(settings: Settings, read: Reader, **options) -> dict:
    """Pretrains an encoder on images alone and stores it as a preset.

    Arguments and errors are those of `Run.prepare`; returns what metrics.json holds.
    """
    return Run.prepare(settings, read, **options).execute()


def main(
    description: str,
    read: Reader,
    build_backbone: Callable[[], keras.Model] | None = None,
    augmentation: Augmentation | None = None,
    **defaults,
) -> dict:
    """A recipe's whole program: flags, run, and mistakes told in one line.

    Args:
        description: the recipe's docstring, shown by `--help`.
        read: as for `Run.prepare`.
        build_backbone: as for `Run.prepare`.
        augmentation: as for `Run.prepare`.
        **defaults: the recipe's settings, by the names of `Settings`.
    """
    settings = parse_settings(description, **defaults)
    try:
        prepared = Run.prepare(settings, read, build_backbone, augmentation)
    except (ValueError, OSError, ImportError) as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: error: {error}") from error
    return prepared.execute()


def _open_output(settings: Settings, name: str) -> Path:
    """The run's folder, with its settings written down; refuses what belongs to another run."""
    if settings.output is None:
        output, number = Path("runs") / name, 1
        while output.exists():
            number += 1
            output = Path("runs") / f"{name}-{number}"
    else:
        output = Path(settings.output)
    config = output / "config.json"
    if config.is_file() and settings.resume:
        earlier, wanted = json.loads(config.read_text())["settings"], settings.of_the_run()
        changed = [key for key in wanted if wanted[key] != earlier.get(key)]
        if changed:
            told = ", ".join(f"{key} was {earlier.get(key)!r}" for key in changed)
            raise ValueError(
                f"--resume: {output} holds a run with other settings: {told}. Use the same flags, "
                "or another --output."
            )
        return output
    if output.exists() and any(output.iterdir()):
        raise ValueError(
            f"--output: {output} is not empty. Add --resume to go on with the run in it, or name "
            "another folder."
        )
    output.mkdir(parents=True, exist_ok=True)
    write_json(config, {"settings": settings.of_the_run(), **_source(settings)})
    return output


def _source(settings: Settings) -> dict:
    return {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seed": settings.seed,
        "keras_cr": __version__,
        "keras": keras.__version__,
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
    }
