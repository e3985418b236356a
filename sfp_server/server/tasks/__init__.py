"""Tasks: asked for, claimed, run at least once, finished exactly once. PostgreSQL is the truth, Redis the doorbell."""
