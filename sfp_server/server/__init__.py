"""What runs in the containers: the API, the dispatchers, the launcher and their one-time programs."""
