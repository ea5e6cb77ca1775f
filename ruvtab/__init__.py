"""ruvtab builds labelled datasets of task requests for training task routers."""

__version__ = "0.1.0"
