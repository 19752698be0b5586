"""The Magnificent 7 in the S&P 500: sessions, constituents, collection, market capitalizations, lake and load."""
