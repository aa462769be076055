"""The command line: options, errors as messages and exit codes, one module per command."""
