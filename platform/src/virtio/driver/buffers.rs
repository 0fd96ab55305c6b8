//! The memory that frames travel in: one buffer for each descriptor of a ring, always the same.

use super::limits::BUFFER;
use crate::machine::pieces::Pieces;

/// [`BUFFER`] bytes for each of so many descriptors.
pub type Buffers = Pieces<BUFFER>;
