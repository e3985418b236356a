"""Where a command runs: this machine, one reached by SSH, or nowhere (a dry run)."""
