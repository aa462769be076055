"""The version, read by the build and by `swf --version`."""

__version__ = "0.1.0"
