"""Labels to a released model. Never imported by the line process."""
