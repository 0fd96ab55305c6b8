//! The boot grid on QEMU's machines: machine × behaviour. The tests are named "q35::hello", "microvm_kvm::echo".
//!
//! q35 has virtio on modern PCI and boots by multiboot, pc on legacy PCI and boots by PVH, microvm has virtio-mmio and what
//! Firecracker says on its command line. Emulated, and again under KVM. They need the images, which `cargo xtask test` builds.

#[allow(dead_code, reason = "a machine is not told that its wire is gone, and has no drivers yet")]
mod behaviour;
#[macro_use]
mod every_target;
mod guest;

use behaviour::*;

macro_rules! every_machine {
    ($($behaviour:ident)*) => {
        grid! {
            q35: $($behaviour)*;
            pc: $($behaviour)*;
            microvm: $($behaviour)*;
            q35_kvm: $($behaviour)*;
            microvm_kvm: $($behaviour)*;
        }
    };
}

every_machine! {
    hello arguments exit_status panic page_fault stack_overflow write_to_code write_to_constant execute_data
    invalid_instruction clock entropy memory_limit deadlock
}
