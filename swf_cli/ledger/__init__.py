"""The tasks that this machine has received and not closed: an SQLite database that outlives its users."""
