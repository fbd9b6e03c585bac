"""TekNav: the control room and API of a multi-tenant publishing platform that works with AI."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("teknav")
except PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0+checkout"
