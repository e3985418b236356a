"""Files of the folder store, over HTTP."""
