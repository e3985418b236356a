"""What lies between a connection and a route: identity of the request, its line in the log, rate limit, problems."""
