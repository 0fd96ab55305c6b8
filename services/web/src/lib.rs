//! A web server for sites that live in a git repository, from memory.
//!
//! ```text
//!     commit ─► load ─► Sites ─ swapped in whole ─┐
//!                                                 ▼
//!     request: method, target, headers ─► answer: status, headers, slices of files ─► connection
//! ```
//!
//! [`site`] and [`answer`] have no socket, no executor and no clock: a commit in, a table of files out; a request in, a
//! response out. [`hook`] judges calls of git hosts in the same way. [`service`] joins them to the network.
//!
//! What is not here: programs behind pages, uploads, directory listings, proxies, HTTP/3.
//!
//! Reading order: [`target`], [`site`], [`answer`], [`hook`], [`service`], [`limits`].

pub mod answer;
pub mod hook;
pub mod limits;
pub mod service;
pub mod site;
pub mod target;
