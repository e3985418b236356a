"""How a bundle becomes running services."""
