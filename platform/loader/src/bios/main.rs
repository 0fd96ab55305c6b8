//! `loader-bios`: the first 14 sectors of a disk image for BIOS, two assembler files and nothing else.
//!
//! ```text
//! sector 0: boot.s ─► 1 to 8: load.s ◄─ 9: plan      10 to 13: command line
//! ```
//!
//! It is assembler since a BIOS is called in 16-bit mode, which Rust has no target for, and since the image is entered in
//! 32-bit mode: there would be nothing left for Rust between the two. `cargo xtask image` builds it with the cfg
//! `skerry_loader`; without, as for editors and lints, it is an empty program.
#![cfg_attr(skerry_loader, no_std, no_main)]

#[cfg(skerry_loader)]
mod sectors {
    core::arch::global_asm!(include_str!("boot.s"), include_str!("load.s"));

    /// There is no Rust code that could panic, but the compiler asks.
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        loop {
            core::hint::spin_loop();
        }
    }
}

#[cfg(not(skerry_loader))]
fn main() {}
