"""OAuth 2.0 in Segment's shape, both sides: this installation as the server, and as the client of another."""
