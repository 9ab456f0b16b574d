//! Pure parsing: what a response says about limits, waits and usage.
