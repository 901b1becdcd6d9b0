//! Traces in simulated networks.
