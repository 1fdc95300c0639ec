"""Mathematics that several plugins share; no plugin is registered from here."""
