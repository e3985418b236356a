"""What the Compose engine knows of Docker: its files, its containers, its demands, its words."""
