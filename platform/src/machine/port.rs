//! Port input and output. Ring 3 may (IOPL 3); where the hypervisor does not honour that, the trap handler repeats it.
//!
//! Only in these forms: the handler knows the port in `dx` and no string instruction.

use std::arch::asm;

macro_rules! ports {
    ($($read:ident $write:ident $type:ty: $register:tt;)*) => {
        $(
            #[doc = concat!("Reads from `port`, width of `", stringify!($type), "`.")]
            ///
            /// # Safety
            /// The device there must not take the reading for more than the caller means by it.
            #[inline(always)]
            pub unsafe fn $read(port: u16) -> $type {
                let value: $type;
                // SAFETY: touches no memory; what the device does is the caller's business.
                unsafe { asm!(concat!("in ", $register, ", dx"), out($register) value, in("dx") port, options(nostack, preserves_flags)) };
                value
            }

            #[doc = concat!("Writes `value` to `port`, width of `", stringify!($type), "`.")]
            ///
            /// # Safety
            /// The device there may read and write memory for it; what it does must be what the caller means.
            #[inline(always)]
            pub unsafe fn $write(port: u16, value: $type) {
                // SAFETY: touches no memory itself; what the device does is the caller's business.
                unsafe { asm!(concat!("out dx, ", $register), in("dx") port, in($register) value, options(nostack, preserves_flags)) };
            }
        )*
    };
}

ports! {
    read8 write8 u8: "al";
    read16 write16 u16: "ax";
    read32 write32 u32: "eax";
}
