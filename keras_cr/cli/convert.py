"""Turn a checkpoint of another framework into a preset.

SOURCE is a `.pth`, `.pth.tar`, `.safetensors` or `.npz` file, a folder with a model.safetensors,
or hf://org/name with one, such as hf://timm/convnext_tiny.in12k_ft_in1k. The network in it is
recognised by its tensors' names and shapes: ResNet, ConvNeXt, EfficientNet, MobileNetV3 or vision
transformer as torchvision, timm or transformers name them, also inside of what MoCo, lightly or the
LCR release store. Nothing in the file is run, and torch is not needed. Tensors that are neither
used nor known to be superfluous are refused and listed.

Then give it a rationale, where the file has none: keras-cr fit DIR --preset FOLDER -o NEW
"""

import argparse
import json
from pathlib import Path

from keras_cr._progress import Progress
from keras_cr.cli._arguments import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a file, or hf://org/name[@revision]")
    parser.add_argument("-o", "--output", required=True, metavar="FOLDER", help="the preset")
    parser.add_argument(
        "--prefix", help="what the network's names begin with, if there are several"
    )
    parser.add_argument(
        "--backbone",
        metavar="NAME",
        help="the architecture as timm names it, such as tf_efficientnet_b0, where the file leaves "
        "it open; else it must be what is recognised",
    )
    for name in ("mean", "std"):
        parser.add_argument(
            f"--{name}",
            nargs=3,
            type=float,
            metavar=("R", "G", "B"),
            help="what its images are normalised by, as shares of 255 (default: what a config.json "
            "beside the file says, else the library's)",
        )
    parser.add_argument(
        "--image-size", type=positive, help="side of its images in pixels, kept with the preset"
    )
    parser.add_argument("--licence", help="of the weights, kept with the preset")
    parser.add_argument("--token", help="a Hub token (default: the stored one)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> None:
    from keras_cr.presets.save import check_replaceable

    folder = Path(args.output).expanduser()
    check_replaceable(folder)
    with Progress(f"Converting {args.source}", verbose=2):
        from keras_cr.conversion.convert import convert_checkpoint
        from keras_cr.models.torchvision import listed

        converted = convert_checkpoint(
            args.source,
            backbone=args.backbone,
            prefix=args.prefix,
            image_size=args.image_size,
            mean=args.mean,
            std=args.std,
            token=args.token,
        )
    command = args.command_line
    if args.token:  # presets get published
        command = command.replace(args.token, "TOKEN")
    source = {"command": command, **converted.origin, "layout": converted.layout}
    source["taken"] = converted.taken
    folder = converted.encoder.save_to_preset(folder, source=source, licence=args.licence)
    if args.json:
        names = {"used": converted.used, "passed_over": converted.passed_over}
        told = {"layout": converted.layout, "taken": converted.taken}
        print(json.dumps({"folder": str(folder), **told, **names}, indent=2))
        return
    layers = {name.rsplit(".", 1)[0] for name in converted.passed_over}
    print(f"{converted.layout}: {len(converted.used)} tensors used.")
    print(f"Taken: {converted.taken}.")
    print(f"Passed over: {listed(layers, most=12)}.")
    print(f"Wrote {folder}. It pools by its {converted.encoder.pooling}.")
