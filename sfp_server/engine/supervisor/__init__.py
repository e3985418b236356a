"""A small supervisor: it runs the services of a bundle as processes of this machine and restarts what dies.

    python -m sfp_server.engine.supervisor up|down|ps|logs|run|exec|problems|remove --bundle DIR

One daemon serves one instance, known by its `run` folder. Beside it waits a guard that takes its place when it is
killed; when the guard is killed, the daemon starts another. Only the standard library is used.
"""
