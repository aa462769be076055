"""The activity worker: slots that poll, and a command that runs for each task."""
