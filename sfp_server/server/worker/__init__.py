"""Workers: the dispatcher claims attempts, the launcher runs each in a sandbox of its own, the child works inside."""
