"""What every program of ours stands on at a machine: `configuration`, DC_HOME, supervision. Imports no other of ours."""
