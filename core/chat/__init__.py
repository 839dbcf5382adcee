"""Chat: an any-to-any token model, a code model, a sandbox and remote endpoints."""
