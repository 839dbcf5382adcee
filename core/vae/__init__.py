"""Variational autoencoders one can sample from (https://arxiv.org/abs/1312.6114)."""
