"""What job scripts import from AWS Glue, for runs in the sandbox."""
