"""What each of our programs stands on: `configuration`, DC_HOME, supervision. Imports none of ours."""
