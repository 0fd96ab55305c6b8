//! What a service's `main` is made of: event loop, network, configuration, logs.

pub mod limits;
pub mod network;
