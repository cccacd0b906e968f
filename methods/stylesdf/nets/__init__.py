"""Networks that only StyleSDF needs."""
