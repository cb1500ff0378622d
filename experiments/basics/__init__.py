"""The parts of deep learning, one by one."""
