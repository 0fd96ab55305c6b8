//! One tiny unikernel that does what its first argument says.

use platform as _;

fn main() {
    println!("hello {:?}", std::env::args().collect::<Vec<_>>());
}
