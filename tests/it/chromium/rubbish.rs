//! What others wrote is shown as they wrote it, and is nothing else (T-68).
