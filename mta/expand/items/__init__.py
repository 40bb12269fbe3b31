"""Items ${name …}, by family; every module here is loaded."""
