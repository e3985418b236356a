"""Commands as data. Nothing runs here."""
