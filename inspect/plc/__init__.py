"""The PLC: the register map, the gate rule's words, one driver a file."""
