//! Whole networks on the desk: against each other, and against frames made by hand.

mod cost;
mod ends;
mod flood;
mod leases;
mod malformed;
mod neighbours;
mod offload;
mod paths;
mod rest;
mod streams;
