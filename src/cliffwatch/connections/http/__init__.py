"""What answers in Segment's shape over HTTP: the token endpoints, the Config API, and a subset of the Public API."""
