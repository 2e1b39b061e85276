"""Client-side encryption: AES-256-GCM, data keys, and the protocol of a key provider."""
