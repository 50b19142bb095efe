"""`python -m keras_cr`: the same as the command `keras-cr`."""

import sys

from keras_cr.cli import main

if __name__ == "__main__":
    sys.exit(main())
