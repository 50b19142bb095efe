"""What a student learns of its teacher, on a data set in CUB layout.

    python benchmarks/student.py CUB_200_2011 --teacher backbone.keras --epochs 10

The teacher is a backbone whose rationale is fitted to the training images. The student is a ResNet
of three blocks with random weights. Both, and the student before it learns, are judged on test
images: retrieval, and k-NN with k chosen on training images.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import argparse
import time

import keras

from keras_cr import CommonRationaleEncoder
from keras_cr.data import image_batches, read_cub
from keras_cr.evaluation import evaluate
from keras_cr.models import ResNet
from keras_cr.pretraining import distill, fit_rationale
from keras_cr.pretraining.student import student_of


def tell(name: str, encoder: CommonRationaleEncoder, dataset, size: int) -> None:
    found = evaluate(encoder, dataset, ("retrieval", "knn"), size)
    numbers = {
        "rank-1": found["retrieval"]["rank1"],
        "mAP": found["retrieval"]["map"],
        "k-NN": found["knn"]["top1"],
    }
    told = "  ".join(f"{key} {100 * value:.1f}" for key, value in numbers.items())
    print(f"{name}, {encoder.count_params():,} parameters: {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_dir")
    parser.add_argument("--teacher", required=True, help="a backbone's .keras file")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--map-weight", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    dataset, size = read_cub(args.data_dir), args.image_size
    train = dataset.split("train")
    teacher = CommonRationaleEncoder(
        keras.saving.load_model(args.teacher, compile=False), num_detectors=1, image_size=size
    )
    fit_rationale(teacher, image_batches(train, size, 64), seed=args.seed)
    tell("teacher", teacher, dataset, size)
    small = ResNet((1, 1, 1), bottleneck=False, width=32, seed=args.seed)
    start = student_of(teacher, small, args.seed)
    tell("student at its start", start, dataset, size)
    begun = time.process_time()
    student = distill(
        teacher, start, train, size, 32, args.epochs, map_weight=args.map_weight, seed=args.seed
    )
    tell("student", student, dataset, size)
    print(f"distilled and evaluated in {time.process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main()
