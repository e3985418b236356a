"""`python -m sfp_server.server api|dispatcher|launcher|migrate|backup|healthy`."""

import sys

from sfp_server.server.main import run

sys.exit(run(sys.argv[1:]))
