"""Sound: a neural codec, a language model over its tokens, and a borrowed voice."""
