"""Small datasets the data tests share."""

import contextlib
import functools
import hashlib
import http.server
import io
import os
import struct
import tarfile
import tempfile
import threading
import zlib
from pathlib import Path

import keras
import numpy as np

from keras_cr.data import Augmentation, FineGrainedDataset
from keras_cr.data.download import Archive


def pixels(count: int, height: int = 40, width: int = 48, seed: int = 0) -> np.ndarray:
    """Blocky random images, (count, height, width, 3) uint8."""
    blocks = np.random.default_rng(seed).integers(0, 256, (count, height // 8, width // 8, 3))
    return blocks.repeat(8, axis=1).repeat(8, axis=2).astype("uint8")


def dataset(count: int = 8, **fields) -> FineGrainedDataset:
    """Two classes in turn; the last quarter of the images is for tests."""
    values = {
        "name": "blocks",
        "images": pixels(count),
        "labels": np.arange(count) % 2,
        "class_names": ["even", "odd"],
        "is_train": np.arange(count) < count * 3 // 4,
    }
    return FineGrainedDataset(**{**values, **fields})


STILL = Augmentation(
    scale=(1.0, 1.0), ratio=(1.0, 1.0), jitter=0.0, grayscale=0.0, blur=0.0, flip=0.0
)  # nothing random

SHARP = {"quality": 95, "subsampling": 0}  # keeps a JPEG within a few steps of its pixels


def save_image(path: Path, image: np.ndarray, **options) -> None:
    """Writes (H, W, 3) or (H, W) values in 0..255 where the suffix says how."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image[..., None] if image.ndim == 2 else image
    keras.utils.save_img(path, image, scale=False, **options)


def write_cub(root: Path, count: int = 6) -> Path:
    """A miniature CUB_200_2011 folder whose lines are not in the order of their ids."""
    ids = [3, 1, 6, 2, 5, 4][:count]
    names = {i: f"{1 + i % 2:03d}.Bird/Bird {i}.png" for i in ids}
    for i, image in zip(sorted(ids), pixels(count), strict=True):
        save_image(root / "images" / names[i], image)
    lines = {
        "images.txt": [f"{i} {names[i]}" for i in ids],
        "image_class_labels.txt": [f"{i} {1 + i % 2}" for i in sorted(ids)],
        "train_test_split.txt": [f"{i} {int(i < 5)}" for i in reversed(ids)],
        "bounding_boxes.txt": [f"{i} {i}.0 2.0 10.5 8.0" for i in ids],
        "classes.txt": ["2 002.Bird", "1 001.Bird"],
    }
    for name, text in lines.items():
        (root / name).write_text("\n".join(text) + "\n")
    return root


def corners(box) -> list[int]:
    """x, y, width, height from 0 as the first and the last pixel, counted from 1."""
    x, y, width, height = (int(side) for side in box)
    return [x + 1, y + 1, x + width, y + height]


def write_aircraft(data: FineGrainedDataset, root: Path) -> Path:
    """`data` (pixels, labels, boxes) as fgvc-aircraft-2013b, with a white banner of 20 rows.

    Image ids fall while the rows of `data` rise, so the order of the lines is not that of the ids.
    """
    folder = root / "fgvc-aircraft-2013b" / "data"
    ids = [f"{10 * (len(data) - row):07d}" for row in range(len(data))]
    for name, image in zip(ids, data.images, strict=True):
        banner = np.full((20, *image.shape[1:]), 255, "uint8")
        save_image(folder / "images" / f"{name}.jpg", np.concatenate([image, banner]), **SHARP)
    lines = {"images_box.txt": [], "variants.txt": data.class_names}
    for split, of_split in (("trainval", data.is_train), ("test", ~data.is_train)):
        lines[f"images_variant_{split}.txt"] = [
            f"{ids[row]} {data.class_names[data.labels[row]]}" for row in np.flatnonzero(of_split)
        ]
    for name, box in zip(ids, data.boxes, strict=True):
        lines["images_box.txt"].append(" ".join(map(str, [name, *corners(box)])))
    for file, text in lines.items():
        (folder / file).write_text("\n".join(text) + "\n")
    return folder.parent


def write_cars(data: FineGrainedDataset, root: Path, layout: str = "devkit") -> Path:
    """`data` (pixels, labels, boxes) as Stanford Cars: layout `devkit`, `list` or `folders`."""
    from scipy.io import savemat

    box_fields = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
    class_names = np.array(data.class_names, object)
    names, counts = [], [0, 0]
    for row, is_train in enumerate(data.is_train):
        counts[int(is_train)] += 1
        name = f"{counts[int(is_train)]:05d}.jpg"
        if layout == "list":
            name = f"car_ims/{row + 1:06d}.jpg"
        elif layout == "folders":
            name = f"{data.class_names[data.labels[row]]}/{name}"
            name = f"{'train' if is_train else 'test'}/{name}"
        else:
            name = f"cars_{'train' if is_train else 'test'}/{name}"
        names.append(name)
        save_image(root / name, data.images[row], **SHARP)

    def annotations(rows, **columns):
        kinds = [(field, object) for field in (*box_fields, *columns)]
        table = np.empty(len(rows), kinds)
        for place, row in enumerate(rows):
            values = [*corners(data.boxes[row]), *(column[row] for column in columns.values())]
            table[place] = tuple(values)
        return table

    classes = (data.labels + 1).tolist()
    if layout == "list":
        test = (~data.is_train).astype(int).tolist()
        columns = {"relative_im_path": names, "class": classes, "test": test}
        table = annotations(range(len(data)), **columns)
        savemat(root / "cars_annos.mat", {"annotations": table, "class_names": class_names})
    elif layout == "devkit":
        (root / "devkit").mkdir()
        savemat(root / "devkit/cars_meta.mat", {"class_names": class_names})
        files = [Path(name).name for name in names]
        for file, rows, columns in (
            ("devkit/cars_train_annos.mat", data.is_train, {"class": classes, "fname": files}),
            ("devkit/cars_test_annos.mat", ~data.is_train, {"fname": files}),
            ("cars_test_annos_withlabels.mat", ~data.is_train, {"class": classes, "fname": files}),
        ):
            table = annotations(np.flatnonzero(rows), **columns)
            savemat(root / file, {"annotations": table})
    return root


@contextlib.contextmanager
def serving(root: Path, folders: dict[str, str]):
    """Archives of folders in `root`, on a loopback server: a list of `Archive`, and what stops it.

    Args:
        root: Holds the folders, and gets the archives.
        folders: Folder -> the archive's name.
    """
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=root)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    archives = []
    for folder, name in folders.items():
        with tarfile.open(root / name, "w:gz") as archive:
            archive.add(root / folder, folder)
        content = (root / name).read_bytes()
        url = f"http://127.0.0.1:{server.server_port}/{name}?download=1"
        archives.append(Archive(name, url, hashlib.sha256(content).hexdigest(), len(content)))

    def stop():
        server.shutdown()
        server.server_close()

    try:
        yield archives, stop
    finally:
        stop()


@contextlib.contextmanager
def ordinary_user():
    """A folder of, and the rights of, a user who is not root, whom no permission stops."""
    with tempfile.TemporaryDirectory() as folder:
        root = os.geteuid() == 0
        os.chmod(folder, 0o777)
        try:
            if root:
                os.seteuid(65534)
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


def encoded(image, form: str, **options) -> bytes:
    """A PIL image, or (H, W, 3) values in 0..255, as the bytes of a file."""
    from PIL import Image

    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG file that says its size, of grey pixels, and has none of them."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk
