"""Tests in tiers: unit, parity, pages (AppTest), browser (a real Chromium)."""
