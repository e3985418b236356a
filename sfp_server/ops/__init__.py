"""What the operator decides: configuration, secrets, bundles, and the steps of a lifecycle."""
