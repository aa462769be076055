"""A local SWF: the service's state machine in memory, and an HTTP server that speaks its protocol."""
