//! Placeholder until the first lines land.

fn main() {}
