"""Patients as a converted model reads them."""
