//! The boot grid.
