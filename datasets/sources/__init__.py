"""Public files: what is where, its checksum, how it is fetched and read."""
