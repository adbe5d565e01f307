"""Tests of the plain records and of the arithmetic of distributions."""
