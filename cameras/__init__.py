"""Light to frames: one protocol, one driver a file, and the loop that turns cameras into frames and typed losses."""
