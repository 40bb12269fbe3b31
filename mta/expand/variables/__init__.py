"""Variables, by what they speak of; every module here is loaded."""
