"""Environment variables that Keras and TensorFlow read when they are first imported.

Imported before them, this module picks Keras' TensorFlow backend, keeps TensorFlow's log to errors
and turns its oneDNN kernels on: they are off by default on some processors, where they triple
training speed. What a user has set stays as it is.
"""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
