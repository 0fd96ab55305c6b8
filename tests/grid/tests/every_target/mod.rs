//! The rows of the grid as tests: `every_target! { hello … }` makes `spt::hello`, `hvt::hello` … of `fn hello(target: &str)`.

/// One test per behaviour and target.
macro_rules! grid {
    ($($target:ident: $($behaviour:ident)*;)*) => {
        $(mod $target {
            $(#[test]
            #[ignore = "needs images: cargo xtask test"]
            fn $behaviour() {
                super::$behaviour(stringify!($target));
            })*
        })*
    };
}

#[allow(unused_macros, reason = "qemu.rs has rows of its own")]
macro_rules! every_target {
    ($($behaviour:ident)*) => {
        grid! { spt: $($behaviour)*; hvt: $($behaviour)*; }
    };
}
