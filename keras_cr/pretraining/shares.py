"""Learning rates of their own for parts of a network."""

import tensorflow as tf

from keras_cr.pretraining.momentum import assign_all


def apply_gradients(optimizer, gradients, variables, shares) -> None:
    """One step of the optimizer, of which some parts go a share.

    A step is proportional to the learning rate, so shortening it is a smaller learning rate for
    these parameters, whatever the optimizer.

    Args:
        optimizer: a built or fresh Keras optimizer.
        gradients: of `variables`, in their order.
        variables: what is trained.
        shares: pairs of a model or layer and the multiple of the learning rate it learns at.
    """
    scaled = [(v, share) for part, share in shares if share != 1 for v in part.trainable_variables]
    before = [tf.identity(variable.value) for variable, _ in scaled]
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    if scaled:
        pairs = zip(scaled, before, strict=True)
        after = [old + share * (v.value - old) for (v, share), old in pairs]
        assign_all([variable for variable, _ in scaled], after)
