"""Proofs that take minutes: run by hand, each a program that prints what it saw and fails where it must not."""
