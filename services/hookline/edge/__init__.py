"""The HTTP side: webhooks come in, are verified, and are committed before they are answered."""
