//! Small stand-ins for many values that can be added up across threads and stores.

pub(crate) mod distinct;
pub(crate) mod histogram;
pub(crate) mod sizes;

pub use distinct::Distinct;
pub use histogram::Histogram;
