//! What an ordinary Rust program needs to boot and run as a unikernel.
