//! Authoritative DNS server.
