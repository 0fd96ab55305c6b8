//! The boot grid on QEMU's machines: machine × behaviour. The tests are named "q35::hello", "microvm_kvm::echo".
//!
//! q35 has virtio on modern PCI with MSI-X and boots by multiboot, q35_line has no MSI-X and one interrupt line for all devices, pc on legacy PCI and boots by PVH, microvm has virtio-mmio and what
//! Firecracker says on its command line; microvm_console has no serial port;
//! disk_bios and disk_uefi boot from a disk, by SeaBIOS and OVMF, and have legacy devices; with _virtio that disk is a virtio
//! device as well, and comes before the image's own. Emulated, and again under KVM. They need the
//! images, which `cargo xtask test` builds.

#[allow(dead_code, reason = "a machine is not told that its wire is gone")]
mod behaviour;
#[macro_use]
mod every_target;
mod guest;

use behaviour::*;
use std::time::Duration;

/// An operator's request to stop ends the image like a service that is done.
fn power_button(target: &str) {
    let guest = start_echo(target, &["service"]);
    check_echo(&guest.service, 1, &[b"there"]);
    guest.command_monitor("system_powerdown\n");
    let (code, text) = guest.finish();
    assert_eq!(code, Some(0), "exit status; it printed:\n{text}");
    assert!(text.contains("power button"), "unexpected output:\n{text}");
}

/// An image with nothing to do sleeps: its machine uses less than a hundredth of a processor.
fn idle(target: &str) {
    const WATCHED: Duration = Duration::from_secs(4);
    let guest = start_echo(target, &["service"]);
    check_echo(&guest.service, 1, &[b"there"]);
    let before = guest.spent();
    std::thread::sleep(WATCHED);
    let spent = guest.spent() - before;
    assert!(spent < WATCHED.as_secs(), "{spent} hundredths of a second in {WATCHED:?}");
    check_echo(&guest.service, 1, &[b"stop"]);
    assert_eq!(guest.finish().0, Some(0));
}

/// So does Ctrl-Alt-Del, which is Firecracker's way.
fn control_alt_delete(target: &str) {
    let guest = start_echo(target, &["service"]);
    check_echo(&guest.service, 1, &[b"there"]);
    guest.command_monitor("sendkey ctrl-alt-delete\n");
    let (code, text) = guest.finish();
    assert_eq!(code, Some(0), "exit status; it printed:\n{text}");
    assert!(text.contains("Ctrl-Alt-Del"), "unexpected output:\n{text}");
}

/// Which way the network ends a sleep; that it does, other behaviours show.
fn interrupts(target: &str) {
    let way = guest::qemu::Machine::named(target).expect("a machine of QEMU's").interrupt();
    let expect = ["service", "management"].map(|name| format!("{name}: {way}"));
    check(target, &["interrupts", "service", "management"], Some(0), &expect.each_ref().map(String::as_str));
}

macro_rules! every_machine {
    ($($behaviour:ident)*) => {
        grid! {
            q35: $($behaviour)* interrupts idle power_button control_alt_delete;
            q35_line: interrupts echo echo_on_two_interfaces echo_by_disk idle power_button;
            q35_line_kvm: interrupts echo echo_on_two_interfaces echo_by_disk idle;
            pc: $($behaviour)* interrupts idle power_button control_alt_delete;
            microvm: $($behaviour)* interrupts idle;
            q35_kvm: $($behaviour)* interrupts idle power_button control_alt_delete;
            microvm_kvm: $($behaviour)* idle power_button;
            microvm_console: hello panic echo;
            disk_bios: $($behaviour)* idle power_button;
            disk_uefi: $($behaviour)* idle power_button;
            disk_bios_virtio: hello block echo;
            disk_uefi_virtio: interrupts hello block echo;
        }
    };
}

every_machine! {
    hello arguments exit_status panic page_fault stack_overflow write_to_code write_to_constant execute_data
    invalid_instruction clock entropy block echo echo_on_two_interfaces echo_by_disk memory_limit deadlock
}
