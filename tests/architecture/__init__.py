"""The building: imports go one way, importing is light, and the contract's names are there."""
