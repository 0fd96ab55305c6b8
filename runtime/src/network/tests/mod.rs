//! Whole networks against each other on the desk.

mod streams;
