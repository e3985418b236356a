"""How the server is, and what it is."""
