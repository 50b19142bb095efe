"""Turn a checkpoint of another framework into a preset.

SOURCE is a `.pth`, `.pth.tar`, `.safetensors` or `.npz` file with a ResNet in it (torchvision's,
timm's, MoCo's, lightly's, the LCR release's with its rationale branch), or hf://org/name with a
model.safetensors, such as hf://timm/resnet50.tv_in1k. Nothing in the file is run, and torch is not
needed. Tensors that are neither used nor known to be superfluous are refused and listed.

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
        from keras_cr.conversion.torchvision import listed

        converted = convert_checkpoint(
            args.source, prefix=args.prefix, image_size=args.image_size, token=args.token
        )
    command = args.command_line
    if args.token:  # presets get published
        command = command.replace(args.token, "TOKEN")
    source = {"command": command, **converted.origin, "layout": converted.layout}
    folder = converted.encoder.save_to_preset(folder, source=source, licence=args.licence)
    if args.json:
        names = {"used": converted.used, "passed_over": converted.passed_over}
        print(json.dumps({"folder": str(folder), "layout": converted.layout, **names}, indent=2))
        return
    layers = {name.rsplit(".", 1)[0] for name in converted.passed_over}
    print(f"{converted.layout}: {len(converted.used)} tensors used.")
    print(f"Passed over: {listed(layers, most=12)}.")
    print(f"Wrote {folder}. It pools by its {converted.encoder.pooling}.")
