"""`python -m sfp_server` is `sfp-server`."""

from sfp_server.cli import main

main()
