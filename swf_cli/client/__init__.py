"""The only package that imports botocore: sessions, calls, and what a failed call means."""
