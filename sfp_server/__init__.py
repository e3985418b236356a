"""sfp server: the operator, and the server that it deploys."""

__version__ = "0.1.0"
