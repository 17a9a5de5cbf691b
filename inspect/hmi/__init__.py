"""The screens, in a process of their own."""
