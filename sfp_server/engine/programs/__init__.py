"""The programs that are not ours and that the embedded engine runs: found, prepared, started, asked.

    python -m sfp_server.engine.programs postgres|redis|ready|toolchain|problems

Each is the one from its Python package where that is installed (extra `[embedded]`), else the system's.
"""
