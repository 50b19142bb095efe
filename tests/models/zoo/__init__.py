"""Small backbones of other packages, with random weights, and what has to hold for each."""
