"""The virtual line: parts with known truth, conveyor, PLC and faults, in processes of their own."""
