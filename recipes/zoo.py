"""Makes the presets of the cards in weights_card/, one after the other.

    python recipes/zoo.py --dry-run
    python recipes/zoo.py --data cub=CUB_200_2011 --data cars=CARS --publish my-org
    python recipes/zoo.py --only cub_resnet50 --data cub=CUB_200_2011 -- --epochs 2

Each card's recipe is run, what it stored is loaded and checked, and with --publish it goes to the
Hugging Face Hub and into its card. Stopped, it goes on where it was with the same command; a preset
that fails is told at the end, and the others are made. What follows `--` is given to every recipe.
"""

from keras_cr.cli.zoo import main

if __name__ == "__main__":
    main(__doc__)
