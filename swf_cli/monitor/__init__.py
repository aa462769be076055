"""What is open, what is stuck and why."""
