//! Whole networks on the desk: against each other, and against frames made by hand.

mod cost;
mod ends;
mod flood;
mod malformed;
mod paths;
mod streams;
