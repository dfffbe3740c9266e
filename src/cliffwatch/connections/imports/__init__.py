"""Imports: files and warehouses read into a source, from where they stopped, each event once."""
