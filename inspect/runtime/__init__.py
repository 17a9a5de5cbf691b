"""A bundle on a device: one protocol, one engine a file."""
