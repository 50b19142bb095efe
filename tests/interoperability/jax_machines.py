"""One of two machines under JAX: `python -m tests.interoperability.jax_machines RANK PORT FOLDER`.

It writes what it computes together with the other; the first one also what it computes alone.
"""

import sys
from pathlib import Path

MACHINES = 2


def computed(share: slice) -> dict:
    """Embeddings of a share of the images, a branch fitted to all of them, and its embeddings."""
    import keras
    import numpy as np

    from keras_cr import CommonRationaleEncoder
    from keras_cr.data import synthetic_birds
    from keras_cr.evaluation import Embedder
    from keras_cr.rationale import fit_rationale
    from tests.case import tiny_backbone

    keras.utils.set_random_seed(0)
    encoder = CommonRationaleEncoder(tiny_backbone(), num_detectors=2, image_size=32, seed=0)
    birds = synthetic_birds(4, train_per_class=10, test_per_class=4, image_size=32, seed=0)
    images = birds.images.astype("float32")
    embedder = Embedder(encoder)
    embedding = embedder.embed(images[share], 8, verbose=0).embedding
    last = fit_rationale(encoder, images, rounds=1, epochs=2, batch_size=8, verbose=0)[-1]
    fitted = embedder.embed(images[share], 8, verbose=0)
    numbers = np.array([last["fit_loss"], last["agreement"]])
    return {"embedding": embedding, "fitted": fitted.embedding, "numbers": numbers}


def main(rank: int, port: int, folder: str) -> None:
    import jax

    jax.distributed.initialize(f"127.0.0.1:{port}", MACHINES, rank)
    import keras
    import numpy as np

    assert jax.device_count() == MACHINES
    if rank == 0:
        np.savez(Path(folder, "alone.npz"), **computed(slice(None)))
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    np.savez(Path(folder, f"{rank}.npz"), **computed(slice(rank, None, MACHINES)))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
