"""The tasks that this machine has received and not closed."""
