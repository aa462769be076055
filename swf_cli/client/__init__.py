"""The only package that imports botocore, when the first client is created: sessions, calls, and their failures."""
