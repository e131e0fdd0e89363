"""What the proxy costs, measured side by side: direct, PgBouncer, proxy untouched, proxy sealed."""
