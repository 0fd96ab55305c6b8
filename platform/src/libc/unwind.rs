//! The unwinder's symbols. Panics abort; reports walk frame pointers. Nothing calls these but code that never runs.

use super::process;

macro_rules! nothing {
    ($($name:ident)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name() -> usize {
            0
        })*
    };
}

nothing! {
    _Unwind_Backtrace
    _Unwind_DeleteException
    _Unwind_GetCFA
    _Unwind_GetDataRelBase
    _Unwind_GetIP
    _Unwind_GetIPInfo
    _Unwind_GetLanguageSpecificData
    _Unwind_GetRegionStart
    _Unwind_GetTextRelBase
    _Unwind_RaiseException
    _Unwind_SetGR
    _Unwind_SetIP
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    process::abort()
}
