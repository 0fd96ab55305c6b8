//! The boot grid: target × behaviour. The tests are named "spt::hello", "hvt::echo_on_two_interfaces".
//!
//! They need the images and the tender, which `cargo xtask test` builds first; a plain `cargo test` shows them as ignored.
//! No root: interfaces are packet sockets whose other end the test holds. Virtual machines of others are in qemu.rs.

mod behaviour;
#[macro_use]
mod every_target;
mod guest;

use behaviour::*;

every_target! {
    hello arguments exit_status panic page_fault stack_overflow write_to_code write_to_constant execute_data
    invalid_instruction clock entropy block echo echo_on_two_interfaces echo_by_disk interface_gone memory_limit deadlock
}
