"""The version of the installed distribution."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("chatkit-server")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0.0.0"
