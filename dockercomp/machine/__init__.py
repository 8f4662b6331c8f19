"""The floor every program of ours stands on at a machine: `configuration`, DC_HOME, supervision. Imports nothing else of ours."""
