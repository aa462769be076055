"""The version, read by the build and by `swf --version`."""

__version__ = "0.2.0.dev0"
