//! The embedded store as one to ask.
